package qemu

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// maxPacket bounds a packet of the gdb stub, in bytes.
const maxPacket = 64 << 10

// gdbTimeout bounds one exchange with the stub, which QEMU's main loop
// answers at once while the guest is paused.
const gdbTimeout = 10 * time.Second

var errGDB = errors.New("qemu: the gdb stub broke the protocol")

// gdb is a client of QEMU's gdb stub (GDB manual, appendix "Remote Serial
// Protocol"). It reads registers and physical memory of a paused guest, and
// stops a running one. It acknowledges the last of the packets that arrived,
// once, and that matters: QEMU takes one "+" for what it sent last; any byte
// more stops the guest, if that has been let go by then.
type gdb struct {
	mu      sync.Mutex
	conn    net.Conn
	in      *bufio.Reader
	numbers map[string]int // of registers, by name
	// undescribed says that the target has no description, and gives its
	// registers all at once only.
	undescribed bool
}

func newGDB(conn net.Conn) *gdb {
	return &gdb{conn: conn, in: bufio.NewReaderSize(conn, 4096)}
}

// handshake asks for the target description; without having done so the stub
// refuses to give single registers.
func (g *gdb) handshake(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	features, err := g.ask(ctx, "qSupported")
	if err != nil {
		return err
	}
	if !strings.Contains(features, "qXfer:features:read+") {
		g.undescribed = true
		return nil
	}
	g.numbers, err = parseTarget(func(name string) (string, error) { return g.annex(ctx, name) })
	return err
}

// annex reads a whole part of the target description.
func (g *gdb) annex(ctx context.Context, name string) (string, error) {
	const most, chunk = 4 << 20, 0xffb
	var out strings.Builder
	for out.Len() < most {
		answer, err := g.ask(ctx, fmt.Sprintf("qXfer:features:read:%s:%x,%x", name, out.Len(), chunk))
		if err != nil {
			return "", err
		}
		if answer == "" || (answer[0] != 'm' && answer[0] != 'l') {
			return "", fmt.Errorf("%w: no target description: %.40q", errGDB, answer)
		}
		out.WriteString(answer[1:])
		if answer[0] == 'l' {
			return out.String(), nil
		}
	}
	return "", fmt.Errorf("%w: the target description %s is too large", errGDB, name)
}

// interrupt asks for the guest to be stopped; QEMU's main loop acts on it as
// soon as it reads the byte. It does not wait.
func (g *gdb) interrupt(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.deadline(ctx)
	if _, err := g.conn.Write([]byte{0x03}); err != nil {
		return fmt.Errorf("qemu: gdb stub: %w", err)
	}
	return nil
}

// absorb takes in the stop replies that have arrived. The guest must be
// paused.
func (g *gdb) absorb() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	// What QEMU sent before it said "paused" on QMP is here already.
	some := false
	for g.in.Buffered() > 0 || pending(g.conn) > 0 {
		g.deadline(context.Background())
		if _, err := g.packet(); err != nil {
			return err
		}
		some = true
	}
	if !some {
		return nil
	}
	return g.acknowledge()
}

// registers reads registers of vcpu, which counts from 0, by their numbers;
// nil for one that the target does not have. The bytes are in the guest's
// order.
func (g *gdb) registers(ctx context.Context, vcpu int, numbers []int) ([][]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.expectOK(ctx, fmt.Sprintf("Hg%x", vcpu+1)); err != nil {
		return nil, err
	}
	// All questions at once: the guest stands still meanwhile. A new packet
	// is as good as the acknowledgement of the last.
	var questions []byte
	for _, n := range numbers {
		if n >= 0 {
			questions = appendPacket(questions, fmt.Sprintf("p%x", n))
		}
	}
	if _, err := g.conn.Write(questions); err != nil {
		return nil, fmt.Errorf("qemu: gdb stub: %w", err)
	}
	out := make([][]byte, len(numbers))
	for i, n := range numbers {
		if n < 0 {
			continue
		}
		answer, err := g.answer(fmt.Sprintf("p%x", n))
		if err != nil {
			return nil, err
		}
		if answer == "" || answer[0] == 'E' {
			continue
		}
		if out[i], err = hex.DecodeString(answer); err != nil {
			return nil, fmt.Errorf("%w: register %d: %.40q", errGDB, n, answer)
		}
	}
	if len(questions) == 0 {
		return out, nil
	}
	return out, g.acknowledge()
}

// allRegisters reads all registers of vcpu, in the order of their numbers and
// in the guest's byte order.
func (g *gdb) allRegisters(ctx context.Context, vcpu int) ([]byte, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.expectOK(ctx, fmt.Sprintf("Hg%x", vcpu+1)); err != nil {
		return nil, err
	}
	answer, err := g.ask(ctx, "g")
	if err != nil {
		return nil, err
	}
	b, err := hex.DecodeString(answer)
	if err != nil {
		return nil, fmt.Errorf("%w: registers: %.40q", errGDB, answer)
	}
	return b, nil
}

// readPhysical fills buf from guest physical memory.
func (g *gdb) readPhysical(ctx context.Context, gpa uint64, buf []byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.expectOK(ctx, "Qqemu.PhyMemMode:1"); err != nil {
		return err
	}
	answer, err := g.ask(ctx, fmt.Sprintf("m%x,%x", gpa, len(buf)))
	if err != nil {
		return err
	}
	b, err := hex.DecodeString(answer)
	if err != nil || len(b) != len(buf) {
		return fmt.Errorf("%w: reading %#x: %.40q", errGDB, gpa, answer)
	}
	copy(buf, b)
	return g.expectOK(ctx, "Qqemu.PhyMemMode:0")
}

// writePhysical writes data to guest physical memory.
func (g *gdb) writePhysical(ctx context.Context, gpa uint64, data []byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.expectOK(ctx, "Qqemu.PhyMemMode:1"); err != nil {
		return err
	}
	if err := g.expectOK(ctx, fmt.Sprintf("M%x,%x:%x", gpa, len(data), data)); err != nil {
		return err
	}
	return g.expectOK(ctx, "Qqemu.PhyMemMode:0")
}

func (g *gdb) expectOK(ctx context.Context, command string) error {
	answer, err := g.ask(ctx, command)
	if err == nil && answer != "OK" {
		err = fmt.Errorf("%w: %.20s: %.40q", errGDB, command, answer)
	}
	return err
}

// ask sends a command and returns its answer. Stop replies that come in
// between are skipped. mu must be held.
func (g *gdb) ask(ctx context.Context, command string) (string, error) {
	g.deadline(ctx)
	if _, err := g.conn.Write(appendPacket(nil, command)); err != nil {
		return "", fmt.Errorf("qemu: gdb stub: %w", err)
	}
	answer, err := g.answer(command)
	if err != nil {
		return "", err
	}
	return answer, g.acknowledge()
}

func appendPacket(b []byte, command string) []byte {
	return fmt.Appendf(b, "$%s#%02x", command, checksum([]byte(command)))
}

// answer reads the answer to a command, and does not acknowledge it.
func (g *gdb) answer(command string) (string, error) {
	for range 16 {
		p, err := g.packet()
		if err != nil {
			return "", err
		}
		if p == "" || !strings.ContainsRune("TSWXO", rune(p[0])) || p == "OK" {
			return p, nil
		}
	}
	return "", fmt.Errorf("%w: no answer to %.20s", errGDB, command)
}

// acknowledge tells QEMU that what it sent last has arrived.
func (g *gdb) acknowledge() error {
	if _, err := g.conn.Write([]byte{'+'}); err != nil {
		return fmt.Errorf("qemu: gdb stub: %w", err)
	}
	return nil
}

// packet reads one packet.
func (g *gdb) packet() (string, error) {
	for skipped := 0; ; skipped++ {
		c, err := g.in.ReadByte()
		if err != nil {
			return "", fmt.Errorf("qemu: gdb stub: %w", err)
		}
		if c == '$' {
			break
		}
		if c == '-' || skipped > maxPacket {
			return "", fmt.Errorf("%w: byte %#x between packets", errGDB, c)
		}
	}
	raw, err := g.until('#')
	if err != nil {
		return "", err
	}
	var sum [2]byte
	for i := range sum {
		if sum[i], err = g.in.ReadByte(); err != nil {
			return "", fmt.Errorf("qemu: gdb stub: %w", err)
		}
	}
	if want := fmt.Sprintf("%02x", checksum(raw)); !strings.EqualFold(string(sum[:]), want) {
		return "", fmt.Errorf("%w: checksum %q, want %q", errGDB, sum, want)
	}
	return expand(raw)
}

// until reads up to end, which is dropped.
func (g *gdb) until(end byte) ([]byte, error) {
	var out []byte
	for {
		c, err := g.in.ReadByte()
		if err != nil {
			return nil, fmt.Errorf("qemu: gdb stub: %w", err)
		}
		if c == end {
			return out, nil
		}
		if out = append(out, c); len(out) > maxPacket {
			return nil, fmt.Errorf("%w: a packet of more than %d bytes", errGDB, maxPacket)
		}
	}
}

// expand undoes the protocol's escapes and run-length encoding.
func expand(raw []byte) (string, error) {
	var out []byte
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '}' && i+1 < len(raw):
			i++
			out = append(out, raw[i]^0x20)
		case c == '*' && i+1 < len(raw) && len(out) > 0 && raw[i+1] >= 29:
			i++
			n := int(raw[i]) - 29
			if len(out)+n > maxPacket {
				return "", fmt.Errorf("%w: a packet of more than %d bytes", errGDB, maxPacket)
			}
			for last := out[len(out)-1]; n > 0; n-- {
				out = append(out, last)
			}
		case c == '}' || c == '*':
			return "", fmt.Errorf("%w: bad escape", errGDB)
		default:
			out = append(out, c)
		}
	}
	return string(out), nil
}

func checksum(b []byte) (sum byte) {
	for _, c := range b {
		sum += c
	}
	return sum
}

func (g *gdb) deadline(ctx context.Context) {
	at := time.Now().Add(gdbTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(at) {
		at = d
	}
	_ = g.conn.SetDeadline(at)
}

// Close ends the connection.
func (g *gdb) Close() { _ = g.conn.Close() }
