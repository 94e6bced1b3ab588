package main

import (
	"log"
	"net/http"

	"github.com/gorilla/websocket"
)

// The Upgrader converts an HTTP connection to a WebSocket connection.
var upgrader = websocket.Upgrader{
	ReadBufferSize:  1024,
	WriteBufferSize: 1024,
	// We can add a CheckOrigin function for security in production.
	CheckOrigin: func(r *http.Request) bool { return true },
}

// echo handles WebSocket requests from the peer.
func echo(w http.ResponseWriter, r *http.Request) {
	// Upgrade the HTTP connection to a WebSocket connection.
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		log.Println("Upgrade error:", err)
		return
	}
	defer conn.Close()
	log.Println("Client connected")

	// Infinite loop to read messages from the client.
	for {
		// ReadMessage blocks until a message is received.
		messageType, p, err := conn.ReadMessage()
		if err != nil {
			log.Println("Read error:", err)
			break // Exit loop on error (e.g., client disconnects).
		}

		log.Printf("Received message: %s", p)

		// Write the message back to the client.
		if err := conn.WriteMessage(messageType, p); err != nil {
			log.Println("Write error:", err)
			break
		}
	}
	log.Println("Client disconnected")
}

func main() {
	http.HandleFunc("/echo", echo)
	log.Println("Server starting on :8080")
	log.Fatal(http.ListenAndServe(":8080", nil))
}
