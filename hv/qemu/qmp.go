package qemu

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// maxQMPLine bounds what is kept of one line from QEMU, in bytes.
const maxQMPLine = 8 << 20

// qmp is a client of the QEMU Machine Protocol (docs/interop/qmp-spec in
// QEMU). It is written here because the existing Go clients open the
// connection themselves, by network and address, while QEMU inherits one end
// of a socket pair from us and nothing has a name.
type qmp struct {
	conn    net.Conn
	onEvent func(qmpEvent) // called from the reading goroutine

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan qmpMessage
	err     error // why nothing can be read any more

	done chan struct{} // closed when the reading goroutine has ended
}

type qmpEvent struct {
	Name string
	Data json.RawMessage
}

type qmpMessage struct {
	Greeting json.RawMessage `json:"QMP"`
	ID       *uint64         `json:"id"`
	Return   json.RawMessage `json:"return"`
	Error    *QMPError       `json:"error"`
	Event    string          `json:"event"`
	Data     json.RawMessage `json:"data"`
}

// QMPError is an error that QEMU answered a command with.
type QMPError struct {
	Class string `json:"class"`
	Desc  string `json:"desc"`
}

func (e *QMPError) Error() string { return "QEMU refused a command: " + e.Desc }

var errQMPClosed = errors.New("qemu: the QMP connection is closed")

// newQMP talks QMP over conn, which it owns from now on. Nothing is sent
// before handshake.
func newQMP(conn net.Conn, onEvent func(qmpEvent)) *qmp {
	q := &qmp{conn: conn, onEvent: onEvent, waiting: map[uint64]chan qmpMessage{}, done: make(chan struct{})}
	go q.read()
	return q
}

// handshake leaves the capabilities negotiation.
func (q *qmp) handshake(ctx context.Context) error {
	return q.execute(ctx, "qmp_capabilities", nil, nil)
}

// execute runs a command and decodes its return value into out, which may be
// nil.
func (q *qmp) execute(ctx context.Context, command string, args, out any) error {
	q.mu.Lock()
	if q.err != nil {
		defer q.mu.Unlock()
		return q.err
	}
	q.next++
	id := q.next
	answer := make(chan qmpMessage, 1)
	q.waiting[id] = answer
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		delete(q.waiting, id)
		q.mu.Unlock()
	}()

	line, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
		ID        uint64 `json:"id"`
	}{command, args, id})
	if err != nil {
		return fmt.Errorf("qemu: %s: %w", command, err)
	}
	if _, err := q.conn.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("%w: %s: %w", errQMPClosed, command, err)
	}
	select {
	case m := <-answer:
		return finish(command, m, out)
	case <-ctx.Done():
		return fmt.Errorf("qemu: %s: %w", command, ctx.Err())
	case <-q.done:
	}
	select {
	case m := <-answer: // it came just before the end
		return finish(command, m, out)
	default:
		return fmt.Errorf("qemu: %s: %w", command, q.err)
	}
}

func finish(command string, m qmpMessage, out any) error {
	if m.Error != nil {
		return fmt.Errorf("qemu: %s: %w", command, m.Error)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(m.Return, out); err != nil {
		return fmt.Errorf("qemu: answer to %s: %w", command, err)
	}
	return nil
}

// monitor runs a command of the human monitor. Its text has no stable form:
// use it only where QMP has nothing.
func (q *qmp) monitor(ctx context.Context, line string) (string, error) {
	var out string
	err := q.execute(ctx, "human-monitor-command", map[string]string{"command-line": line}, &out)
	return out, err
}

func (q *qmp) read() {
	err := q.readLines()
	if err == nil || errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
		err = errQMPClosed
	}
	q.mu.Lock()
	q.err = err
	q.mu.Unlock()
	_ = q.conn.Close()
	close(q.done)
}

func (q *qmp) readLines() error {
	s := bufio.NewScanner(q.conn)
	s.Buffer(make([]byte, 0, 64<<10), maxQMPLine)
	for s.Scan() {
		if len(s.Bytes()) == 0 {
			continue
		}
		var m qmpMessage
		if err := json.Unmarshal(s.Bytes(), &m); err != nil {
			return fmt.Errorf("qemu: QMP: %w", err)
		}
		if m.Event != "" {
			if q.onEvent != nil {
				q.onEvent(qmpEvent{m.Event, m.Data})
			}
			continue
		}
		if m.ID == nil {
			continue // the greeting, or an error about nothing we sent
		}
		q.mu.Lock()
		answer := q.waiting[*m.ID]
		delete(q.waiting, *m.ID)
		q.mu.Unlock()
		if answer != nil {
			answer <- m
		}
	}
	return s.Err()
}

// Close ends the connection and waits for the reader.
func (q *qmp) Close() {
	_ = q.conn.Close()
	<-q.done
}
