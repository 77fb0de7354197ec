package qemu

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// Fake peers: the far ends of QMP and gdb connections, scripted.

func shortly(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// fakeQMP answers each command with what answer returns, {} for the ID.
func fakeQMP(t *testing.T, answer func(command string) string) (*qmp, chan qmpEvent, net.Conn) {
	mine, theirs := net.Pipe()
	events := make(chan qmpEvent, 10)
	q := newQMP(mine, func(ev qmpEvent) { events <- ev })
	t.Cleanup(q.Close)
	t.Cleanup(func() { _ = theirs.Close() })
	go func() {
		_, _ = io.WriteString(theirs, `{"QMP": {"version": {}, "capabilities": ["oob"]}}`+"\r\n")
		in := bufio.NewScanner(theirs)
		for in.Scan() {
			var c struct {
				Execute string
				ID      json.Number
			}
			if json.Unmarshal(in.Bytes(), &c) != nil {
				return
			}
			_, _ = io.WriteString(theirs, strings.ReplaceAll(answer(c.Execute), "{}", c.ID.String())+"\r\n")
		}
	}()
	return q, events, theirs
}

func TestQMP(t *testing.T) {
	q, events, _ := fakeQMP(t, func(command string) string {
		switch command {
		case "qmp_capabilities":
			return `{"return": {"a": 1}, "id": {}}`
		case "query-status":
			// An event and an answer to nobody come first.
			return `{"event": "STOP", "data": {"x": 2}}` + "\n" + `{"return": 3, "id": 999}` + "\n" +
				`{"return": {"running": true}, "id": {}}`
		case "bad":
			return `{"error": {"class": "GenericError", "desc": "no such thing"}, "id": {}}`
		case "odd":
			return `{"return": "text", "id": {}}`
		}
		return `garbage`
	})
	ctx := shortly(t)
	if err := q.handshake(ctx); err != nil {
		t.Fatal(err)
	}
	var status struct{ Running bool }
	if err := q.execute(ctx, "query-status", nil, &status); err != nil || !status.Running {
		t.Fatalf("status %v, error %v", status, err)
	}
	if ev := <-events; ev.Name != "STOP" || string(ev.Data) != `{"x": 2}` {
		t.Errorf("event %v", ev)
	}
	var qerr *QMPError
	if err := q.execute(ctx, "bad", nil, nil); !errors.As(err, &qerr) || qerr.Desc != "no such thing" {
		t.Errorf("error %v", err)
	}
	if err := q.execute(ctx, "odd", nil, &status); err == nil {
		t.Error("an answer of the wrong type was accepted")
	}
	if err := q.execute(ctx, "worse", nil, nil); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("garbage gave %v", err)
	}
	if err := q.execute(ctx, "query-status", nil, nil); err == nil {
		t.Error("a broken connection was used")
	}
}

func TestQMPEndless(t *testing.T) {
	q, _, theirs := fakeQMP(t, nil)
	go func() {
		line := strings.Repeat("x", 1<<20)
		for range 100 {
			if _, err := io.WriteString(theirs, line); err != nil {
				return
			}
		}
	}()
	select {
	case <-q.done:
	case <-shortly(t).Done():
		t.Fatal("an endless line was read on and on")
	}
}

func TestQMPClosed(t *testing.T) {
	q, _, theirs := fakeQMP(t, func(string) string { return "" })
	go func() { time.Sleep(10 * time.Millisecond); _ = theirs.Close() }()
	if err := q.execute(shortly(t), "query-status", nil, nil); !errors.Is(err, errQMPClosed) {
		t.Errorf("error %v", err)
	}
}

// gdbPair returns a client and the other end of its connection.
func gdbPair(t *testing.T) (*gdb, net.Conn) {
	t.Helper()
	mine, theirs, err := connPair("gdb")
	if err != nil {
		t.Fatal(err)
	}
	peer, err := net.FileConn(theirs)
	if err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	g := newGDB(mine)
	t.Cleanup(g.Close)
	t.Cleanup(func() { _ = peer.Close() })
	return g, peer
}

// fakeGDB answers packets; raw answers are sent as they are if they start
// with '$' or '!' (which is dropped).
func fakeGDB(t *testing.T, answer func(packet string) string) *gdb {
	g, peer := gdbPair(t)
	go func() {
		in := bufio.NewReader(peer)
		for {
			text, err := in.ReadString('#')
			if err != nil {
				return
			}
			sum := make([]byte, 2)
			if _, err := io.ReadFull(in, sum); err != nil {
				return
			}
			text = strings.TrimSuffix(strings.TrimLeft(text, "+\x03"), "#")
			a := answer(strings.TrimPrefix(text, "$"))
			switch {
			case strings.HasPrefix(a, "!"):
				_, _ = io.WriteString(peer, a[1:])
			default:
				_, _ = fmt.Fprintf(peer, "+$%s#%02x", a, checksum([]byte(a)))
			}
		}
	}()
	return g
}

func TestGDBRegisters(t *testing.T) {
	g := fakeGDB(t, func(p string) string {
		switch p {
		case "qXfer:features:read:target.xml:0,ffb":
			return "m<target>"
		case "qXfer:features:read:target.xml:8,ffb":
			return "l</target>"
		case "Hg2":
			return "!+$T02thread:01;#04+$OK#9a" // a stop reply comes first
		case "p0":
			return "1122334455667788"
		case "p10":
			return "0* 1*!" // run lengths: 0000 11111
		case "p3":
			return "E14"
		case "p4":
			return ""
		}
		return "zz"
	})
	ctx := shortly(t)
	if err := g.handshake(ctx); err != nil {
		t.Fatal(err)
	}
	regs, err := g.registers(ctx, 1, []int{0, -1, 3, 4})
	if err != nil {
		t.Fatal(err)
	}
	if len(regs[0]) != 8 || regs[0][0] != 0x11 || regs[1] != nil || regs[2] != nil || regs[3] != nil {
		t.Errorf("registers % x", regs)
	}
	if _, err := g.registers(ctx, 1, []int{5}); !errors.Is(err, errGDB) {
		t.Errorf("a register that is no hex gave %v", err)
	}
}

// TestGDBAcknowledges: one "+" for all the answers to one question, or to many
// at once. QEMU would take a second one for a wish to stop.
func TestGDBAcknowledges(t *testing.T) {
	g, peer := gdbPair(t)
	if _, err := io.WriteString(peer, "+$T02thread:01;#04+$OK#9a+$11#62+$22#64+$33#66$T02thread:01;#04"); err != nil {
		t.Fatal(err)
	}
	if _, err := g.registers(shortly(t), 1, []int{0, 1, 2}); err != nil {
		t.Fatal(err)
	}
	if err := g.absorb(); err != nil {
		t.Fatal(err)
	}
	if err := g.absorb(); err != nil { // nothing has come
		t.Fatal(err)
	}
	g.Close()
	said, err := io.ReadAll(peer)
	if want := "$Hg2#e1+$p0#a0$p1#a1$p2#a2++"; err != nil || string(said) != want {
		t.Errorf("it said %q, %v, want %q", said, err, want)
	}
}

func TestGDBHostile(t *testing.T) {
	for name, answer := range map[string]string{
		"checksum": "!+$OK#00",
		"garbage":  "!" + strings.Repeat("?", maxPacket+10),
		"nack":     "!-",
		"endless":  "!+$" + strings.Repeat("a", maxPacket+10),
		"stops":    "!" + strings.Repeat("+$S05#b8", 40),
		"escape":   "!+$}#7d",
		"runs":     "!+$*~#a8",
	} {
		t.Run(name, func(t *testing.T) {
			g := fakeGDB(t, func(string) string { return answer })
			if _, err := g.registers(shortly(t), 0, []int{0}); !errors.Is(err, errGDB) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestGDBAbsorb(t *testing.T) {
	g, peer := gdbPair(t)
	if err := g.interrupt(shortly(t)); err != nil {
		t.Fatal(err)
	}
	if n, ok := unread(g.conn); !ok || n == 0 {
		t.Errorf("unread %d, %v before the peer read", n, ok)
	}
	b := make([]byte, 8)
	if n, err := peer.Read(b); n != 1 || err != nil || b[0] != 3 {
		t.Fatalf("peer read % x, %v", b[:n], err)
	}
	if n, ok := unread(g.conn); !ok || n != 0 {
		t.Errorf("unread %d, %v after the peer read", n, ok)
	}
	_, _ = io.WriteString(peer, "$T02thread:01;#04")
	if err := g.absorb(); err != nil {
		t.Fatal(err)
	}
	if n, err := peer.Read(b); n != 1 || err != nil || b[0] != '+' {
		t.Errorf("the stop reply was answered by % x, %v", b[:n], err)
	}
	if err := g.absorb(); err != nil {
		t.Errorf("nothing to absorb: %v", err)
	}
}

func FuzzExpand(f *testing.F) {
	for _, s := range []string{"OK", "0* ", "}\x03", "*", "}", "a*~b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		out, err := expand(raw)
		if err == nil && len(out) > maxPacket+len(raw) {
			t.Fatalf("%d bytes became %d", len(raw), len(out))
		}
	})
}
