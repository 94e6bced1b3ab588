// The client of gorilla/websocket, in the hands of ../clients.py, where the language of both is
// described: `gorilla URL OPTIONS`.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

const patience = 20 * time.Second

type options struct {
	Subprotocols []string
	Origin       string
	Deflate      any // false, an object (it has no parameters to choose), or nothing
}

type command struct {
	Do     string
	Text   *string
	Bytes  []byte // base64 in JSON
	Code   int
	Reason string
}

type answer map[string]any

func say(what answer) {
	line, err := json.Marshal(what)
	if err != nil {
		panic(err)
	}
	if _, err := os.Stdout.Write(append(line, '\n')); err != nil {
		os.Exit(1)
	}
}

func failure(err error) answer {
	return answer{"error": err.Error()}
}

func fields(header http.Header) map[string]string {
	fields := make(map[string]string)
	for name, values := range header {
		fields[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return fields
}

type client struct {
	conn *websocket.Conn
	// Messages, and in the end how it closed; room for more than ever wait.
	arrived chan answer
	pongs   chan []byte
	// Has the end as well, for who waits for nothing else.
	closed chan answer
}

// dial connects; without a client, the answer tells why.
func dial(url string, options options) (*client, answer) {
	dialer := websocket.Dialer{
		HandshakeTimeout: patience,
		Subprotocols:     options.Subprotocols,
		// It offers permessage-deflate, without context takeover.
		EnableCompression: options.Deflate != false,
	}
	header := http.Header{}
	if options.Origin != "" {
		header.Set("Origin", options.Origin)
	}
	conn, response, err := dialer.Dial(url, header)
	if errors.Is(err, websocket.ErrBadHandshake) {
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return nil, failure(err)
		}
		return nil, answer{
			"status": response.StatusCode,
			"fields": fields(response.Header),
			"bytes":  body,
		}
	}
	if err != nil {
		return nil, failure(err)
	}
	client := &client{
		conn:    conn,
		arrived: make(chan answer, 1<<16),
		pongs:   make(chan []byte, 16),
		closed:  make(chan answer, 1),
	}
	conn.SetPongHandler(func(payload string) error {
		client.pongs <- []byte(payload)
		return nil
	})
	go client.read()
	said := answer{"fields": fields(response.Header), "subprotocol": nil}
	if conn.Subprotocol() != "" {
		said["subprotocol"] = conn.Subprotocol()
	}
	return client, said
}

// read takes what comes, and answers pings and the server's Close.
func (client *client) read() {
	for {
		kind, payload, err := client.conn.ReadMessage()
		var closed *websocket.CloseError
		switch {
		case errors.As(err, &closed):
			client.end(answer{"code": closed.Code, "reason": closed.Text})
			return
		case err != nil:
			client.end(failure(err))
			return
		case kind == websocket.TextMessage:
			client.arrived <- answer{"text": string(payload)}
		default:
			client.arrived <- answer{"bytes": payload}
		}
	}
}

func (client *client) end(how answer) {
	client.conn.Close()
	client.arrived <- how
	client.closed <- how
}

func (client *client) obey(command command) answer {
	switch command.Do {
	case "send":
		kind, payload := websocket.BinaryMessage, command.Bytes
		if command.Text != nil {
			kind, payload = websocket.TextMessage, []byte(*command.Text)
		}
		// More than 4 KiB go in fragments.
		if err := client.conn.WriteMessage(kind, payload); err != nil {
			return failure(err)
		}
		return answer{}
	case "receive":
		return <-client.arrived
	case "ping":
		if err := client.control(websocket.PingMessage, command.Bytes); err != nil {
			return failure(err)
		}
		return answer{"bytes": <-client.pongs}
	case "close":
		payload := websocket.FormatCloseMessage(command.Code, command.Reason)
		if err := client.control(websocket.CloseMessage, payload); err != nil {
			return failure(err)
		}
		return <-client.closed
	}
	return answer{"error": "no such command: " + command.Do}
}

func (client *client) control(kind int, payload []byte) error {
	return client.conn.WriteControl(kind, payload, time.Now().Add(patience))
}

func main() {
	var options options
	if err := json.Unmarshal([]byte(os.Args[2]), &options); err != nil {
		panic(err)
	}
	client, said := dial(os.Args[1], options)
	say(said)
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			// Nobody has anything to ask any more.
			return
		}
		var command command
		if err := json.Unmarshal(line, &command); err != nil {
			panic(err)
		}
		say(client.obey(command))
	}
}
