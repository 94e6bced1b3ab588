"""SVG by hand: no background, and tones that can be read on white and on black."""

from html import escape

#: Middle tones that can be told apart.
COLOURS = ["#2f7fd8", "#c9772c", "#3c9a68", "#a463b8", "#b8952a", "#4aa3a8", "#c25b6e", "#94704f"]
GREY = "#858d96"
TEXT = "#7a828c"


class Drawing:
    def __init__(self, width, height, label):
        self.width, self.height, self.label = width, height, label
        self.parts = []

    def text(self, x, y, what, size=12, anchor="start", colour=TEXT, turned=None):
        turn = f" transform='rotate({turned} {x:.1f} {y:.1f})'" if turned else ""
        self.parts.append(
            f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{anchor}'"
            f" fill='{colour}'{turn}>{escape(what)}</text>"
        )

    def box(self, x, y, width, height, colour, title=""):
        hint = f"<title>{escape(title)}</title>" if title else ""
        self.parts.append(
            f"<rect x='{x:.1f}' y='{y:.1f}' width='{max(width, 0.3):.1f}'"
            f" height='{height:.1f}' fill='{colour}'>{hint}</rect>"
        )

    def line(self, points, colour=TEXT, width=1, dashes=""):
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        dashed = f" stroke-dasharray='{dashes}'" if dashes else ""
        self.parts.append(
            f"<path d='M{path}' fill='none' stroke='{colour}' stroke-width='{width}'{dashed}/>"
        )

    def dot(self, x, y, colour, title):
        self.parts.append(
            f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3.2' fill='{colour}'>"
            f"<title>{escape(title)}</title></circle>"
        )

    def save(self, path):
        head = (
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {self.width} {self.height:.0f}'"
            f" width='{self.width}' height='{self.height:.0f}' role='img'"
            f" aria-label='{escape(self.label, quote=True)}' font-family='system-ui,sans-serif'>"
        )
        path.write_text("\n".join([head, *self.parts, "</svg>", ""]))
