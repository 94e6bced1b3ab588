"""The fuzzing server of Autobahn on a free port of the loopback interface. For Python 2.7.

fuzzingserver.py SPEC_JSON

`wstest -m fuzzingserver` wants a fixed port and listens on every interface.
"""

import json
import sys

from autobahntestsuite.fuzzing import FuzzingServerFactory
from twisted.internet import reactor


def main():
    with open(sys.argv[1]) as file:
        spec = json.load(file)
    spec["url"] = "ws://127.0.0.1:9"
    factory = FuzzingServerFactory(spec)
    port = reactor.listenTCP(0, factory, interface="127.0.0.1").getHost().port
    # It compares the port of the Host field with that of its URL.
    url = u"ws://127.0.0.1:%d" % port
    factory.setSessionParameters(url=url, server=factory.server)
    print("listening on %s" % url)
    reactor.run()


if __name__ == "__main__":
    main()
