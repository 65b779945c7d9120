package hl7

import (
	"context"
	"net"
	"sync"
	"testing"
)

// pipeNet is a network in memory. Within a synctest bubble, time-outs on it
// take no time, and "nothing more happens" can be proved.
type pipeNet struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeNet() *pipeNet {
	return &pipeNet{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (p *pipeNet) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipeNet) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipeNet) Addr() net.Addr { return pipeAddr{} }

func (p *pipeNet) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// serveOn runs a server until the test ends.
func serveOn(t testing.TB, s *Server, l net.Listener) {
	t.Helper()
	if s.NewID == nil {
		s.NewID = func() string { return "7" }
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-done; err != ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
		if open := s.Stats().Open; open != 0 {
			t.Errorf("%d connections are open behind Close", open)
		}
	})
}

// serveTCP runs a server on a real socket.
func serveTCP(t testing.TB, s *Server) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, s, l)
	return l.Addr().String()
}

// peer is the other side of a server's connection, byte by byte.
type peer struct {
	t testing.TB
	net.Conn
	frames *FrameReader
}

func newPeer(t testing.TB, nc net.Conn, err error) *peer {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &peer{t, nc, NewFrameReader(nc, 0)}
}

func dialTCP(t testing.TB, addr string) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	return newPeer(t, nc, err)
}

func (p *peer) write(s string) {
	p.t.Helper()
	if _, err := p.Write([]byte(s)); err != nil {
		p.t.Error(err)
	}
}

// answer reads one frame and gives "MSA-1 MSA-2", or the frame when it has no MSA.
func (p *peer) answer() string {
	p.t.Helper()
	b, err := p.frames.Next()
	if err != nil {
		return err.Error()
	}
	return answerOf(b)
}

func answerOf(b []byte) string {
	m, err := Parse(b)
	if err != nil {
		return string(b)
	}
	return m.Get("MSA-1") + " " + m.Get("MSA-2")
}

// framed is a message of that control id, as it goes over the wire.
func framed(id string) string { return "\v" + message(id) + "\x1c\r" }

func message(id string) string {
	return "MSH|^~\\&|LAB|MERCY|GW|CITY|20260101||ORU^R01^ORU_R01|" + id + "|P|2.5.1\rPID|1||" + id + "\r"
}
