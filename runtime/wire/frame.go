package wire

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// Type tells what a frame's payload is.
type Type byte

// The types of a frame. Values are part of the protocol: never renumber.
const (
	TypeRequest  Type = 1  // JSON [Request]; client to monitor, the first frame
	TypeReply    Type = 2  // JSON [Reply]
	TypeStdin    Type = 3  // bytes for the process
	TypeStdinEOF Type = 4  // empty; no more Stdin will follow
	TypeStdout   Type = 5  // bytes from the process
	TypeStderr   Type = 6  // bytes from the process
	TypeResize   Type = 7  // rows, columns: two uint16, big endian
	TypeSignal   Type = 8  // a signal's number: one uint32, big endian
	TypeExplain  Type = 9  // text for the person who asked for --explain
	TypeStarted  Type = 10 // JSON [Started]
	TypeExit     Type = 11 // JSON [Exit]; the last frame
)

var typeNames = [...]string{
	TypeRequest: "request", TypeReply: "reply", TypeStdin: "stdin",
	TypeStdinEOF: "stdin-eof", TypeStdout: "stdout", TypeStderr: "stderr",
	TypeResize: "resize", TypeSignal: "signal", TypeExplain: "explain",
	TypeStarted: "started", TypeExit: "exit",
}

// String names the type for messages.
func (t Type) String() string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return fmt.Sprintf("type %d", byte(t))
}

const (
	// MaxPayload is the longest payload of one frame, in bytes.
	MaxPayload = 64 << 10
	headerLen  = 5
)

// Frame is one received frame. Payload belongs to the [Conn] and is valid until
// the next receive.
type Frame struct {
	Type    Type
	Payload []byte
}

// Request opens a conversation.
type Request struct {
	Op   string          `json:"op"`
	Body json.RawMessage `json:"body,omitempty"` // what Op needs
}

// Reply answers a request. An empty Error means success.
type Reply struct {
	Error string          `json:"error,omitempty"`
	Code  int             `json:"code,omitempty"` // exit code the client should end with, when it matters
	Body  json.RawMessage `json:"body,omitempty"`
}

// Started says that the process runs.
type Started struct {
	Pid int `json:"pid"` // as the monitor's pid namespace counts
}

// Exit is the end of a process, or of the attempt to start one: Error is then
// set, and Code is 125, 126 or 127.
type Exit struct {
	Code  int    `json:"code"`
	Error string `json:"error,omitempty"`
}

// Decode reads a JSON payload into v.
func (f Frame) Decode(v any) error {
	if err := json.Unmarshal(f.Payload, v); err != nil {
		return fmt.Errorf("decoding %s frame: %w", f.Type, err)
	}
	return nil
}

// Size is the terminal's size that a Resize frame carries, in characters.
func (f Frame) Size() (rows, cols uint16, err error) {
	if f.Type != TypeResize || len(f.Payload) != 4 {
		return 0, 0, fmt.Errorf("reading size from %s frame of %d bytes: %w", f.Type, len(f.Payload), ErrMalformed)
	}
	return binary.BigEndian.Uint16(f.Payload), binary.BigEndian.Uint16(f.Payload[2:]), nil
}

// Signal is the signal's number that a Signal frame carries, 1 to 64.
func (f Frame) Signal() (int, error) {
	if f.Type != TypeSignal || len(f.Payload) != 4 {
		return 0, fmt.Errorf("reading signal from %s frame of %d bytes: %w", f.Type, len(f.Payload), ErrMalformed)
	}
	n := binary.BigEndian.Uint32(f.Payload)
	if n < 1 || n > 64 {
		return 0, fmt.Errorf("reading signal %d: %w", n, ErrMalformed)
	}
	return int(n), nil
}
