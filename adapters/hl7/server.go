package hl7

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Handler takes in what an MLLP server receives.
type Handler interface {
	// HandleHL7 takes one message. When it returns nil the sender is told that
	// the message is kept and may be forgotten, so by then it must be on disk. A
	// *Rejection answers AR or CR, any other error AE or CE; a *FieldError in it
	// is told to the sender, nothing of other errors is.
	//
	// A connection's messages come one after another, those of several
	// connections at the same time. The context ends when the server is closed
	// without having the time to finish, not when the peer hangs up.
	HandleHL7(context.Context, *Request) error
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(context.Context, *Request) error

func (f HandlerFunc) HandleHL7(ctx context.Context, r *Request) error { return f(ctx, r) }

// A Request is one message as it came.
type Request struct {
	// Message is nil when the bytes could not be parsed; Problem then says why,
	// and the sender is told so (AR) whatever the handler returns, except that a
	// failure of the handler gives AE: send it again.
	Message *Message
	Problem error

	// Bytes is what was in the frame: one message, or one part of a batch.
	Bytes []byte

	Peer Peer
}

// Peer is who sent a message.
type Peer struct {
	Addr net.Addr

	// Certificate is the client certificate, only if the server's TLS
	// configuration verified it (tls.VerifyClientCertIfGiven or stricter).
	Certificate *x509.Certificate

	// Name is what the sender signed in as, where the transport knows it.
	Name string
}

// LogValue is the address.
func (p Peer) LogValue() slog.Value { return slog.AnyValue(p.Addr) }

// Server is an MLLP server. Its exported fields are set before Serve.
type Server struct {
	Handler Handler

	// TLS, where set, encrypts every connection. With ClientAuth and ClientCAs
	// the peers' certificates are asked for and checked.
	TLS *tls.Config

	MaxFrame   int // bytes of one frame; default 32 MiB. A longer one is skipped and refused
	MaxPending int // bytes of all frames in hand; default 8 times MaxFrame
	MaxConns   int // default 256. A further connection is closed at once

	IdleTimeout  time.Duration // between frames; default 1 hour
	FrameTimeout time.Duration // from a frame's first byte to its last, and for the TLS handshake; default 1 minute
	WriteTimeout time.Duration // of one answer; default 30 seconds
	TrailerTime  time.Duration // see FrameReader; default 500 ms

	// CommitBlocks answers with the one-byte blocks of MLLP release 2 before
	// any acknowledgement: ACK when the handler took the message, NAK when it
	// failed and the sender shall repeat it.
	CommitBlocks bool

	Now   func() time.Time // default time.Now
	NewID func() string    // MSH-10 of acknowledgements, at most 20 characters; default random

	// Logger gets what goes wrong on connections, without any content; nil: nothing.
	Logger *slog.Logger

	stats   counters
	took    times
	pending atomic.Int64

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	base      context.Context // of all handlers
	cancel    context.CancelFunc
	closing   bool
	drained   chan struct{} // closed when the last connection has gone, while closing
}

// ErrServerClosed is what Serve returns after Shutdown or Close.
var ErrServerClosed = errors.New("hl7: server closed")

// Stats counts since the server was made.
type Stats struct {
	Open       int64 // connections now
	Accepted   int64 // connections
	Refused    int64 // connections, for MaxConns or a failed TLS handshake
	Frames     int64 // whole ones
	TooLong    int64 // frames over MaxFrame or MaxPending
	Broken     int64 // frames without an end: cut off by the next, or by the connection's
	Junk       int64 // bytes between frames
	Timeouts   int64 // connections closed for silence
	Positive   int64 // messages taken
	Failed     int64 // messages answered AE or CE
	Rejected   int64 // messages answered AR or CR
	Unanswered int64 // messages whose sender wanted no answer, or was gone
}

type counters struct {
	open, accepted, refused, frames, tooLong, broken, junk, timeouts atomic.Int64
	verdicts                                                         [3]atomic.Int64
	unanswered                                                       atomic.Int64
}

// Stats gives the counts now.
func (s *Server) Stats() Stats {
	c := &s.stats
	return Stats{
		Open: c.open.Load(), Accepted: c.accepted.Load(), Refused: c.refused.Load(), Frames: c.frames.Load(),
		TooLong: c.tooLong.Load(), Broken: c.broken.Load(), Junk: c.junk.Load(), Timeouts: c.timeouts.Load(),
		Positive: c.verdicts[Accepted].Load(), Failed: c.verdicts[Failed].Load(), Rejected: c.verdicts[Rejected].Load(),
		Unanswered: c.unanswered.Load(),
	}
}

func (s *Server) maxFrame() int { return or(s.MaxFrame, defaultBytes) }

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Server) log() *slog.Logger {
	if s.Logger != nil {
		return s.Logger
	}
	return slog.New(slog.DiscardHandler)
}

// Serve takes connections from l until Shutdown or Close, and closes l. It
// always returns an error: ErrServerClosed then, else what l failed with.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	if !s.listen(l) {
		return ErrServerClosed
	}
	defer func() {
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()
	pause := 5 * time.Millisecond
	for {
		nc, err := l.Accept()
		if err == nil {
			pause = 5 * time.Millisecond
			s.accept(nc)
			continue
		}
		s.mu.Lock()
		closing, base := s.closing, s.base
		s.mu.Unlock()
		if closing {
			return ErrServerClosed
		}
		var temporary interface{ Temporary() bool }
		if !errors.As(err, &temporary) || !temporary.Temporary() {
			return err
		}
		// Out of descriptors, mostly: the connections at work will free some.
		s.log().Warn("hl7: accept failed", "error", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-base.Done():
		}
		pause = min(2*pause, time.Second)
	}
}

func (s *Server) listen(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	if s.base == nil {
		s.base, s.cancel = context.WithCancel(context.Background())
		s.listeners, s.conns = map[net.Listener]struct{}{}, map[*conn]struct{}{}
	}
	s.listeners[l] = struct{}{}
	return true
}

// accept starts a connection, or refuses it.
func (s *Server) accept(nc net.Conn) {
	c := &conn{s: s, raw: nc, nc: nc, idle: true}
	s.mu.Lock()
	full := s.closing || len(s.conns) >= or(s.MaxConns, 256)
	if !full {
		s.conns[c] = struct{}{}
	}
	s.mu.Unlock()
	if full {
		s.stats.refused.Add(1)
		nc.Close()
		return
	}
	s.stats.accepted.Add(1)
	s.stats.open.Add(1)
	go c.serve()
}

// gone ends a connection's life.
func (s *Server) gone(c *conn) {
	c.nc.Close()
	s.stats.open.Add(-1)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if len(s.conns) == 0 && s.drained != nil {
		close(s.drained)
		s.drained = nil
	}
}

// Shutdown stops taking connections and frames. Frames that have begun are
// read, handled and answered; then their connections close, those without one
// at once. When ctx ends first, handlers' contexts are cancelled, everything is
// closed, and ctx's error returned; what was not answered will come again.
func (s *Server) Shutdown(ctx context.Context) error {
	drained := s.stop()
	if drained == nil {
		return nil
	}
	select {
	case <-drained:
		s.cancel()
		return nil
	case <-ctx.Done():
		s.closeAll()
		<-drained
		return ctx.Err()
	}
}

// Close is Shutdown without patience; it waits for handlers to return.
func (s *Server) Close() error {
	if drained := s.stop(); drained != nil {
		s.closeAll()
		<-drained
	}
	return nil
}

// stop begins the end. The channel closes when the last connection has gone; it
// is nil when there never was one.
func (s *Server) stop() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	for l := range s.listeners {
		l.Close()
	}
	if s.base == nil {
		return nil
	}
	drained := s.drained
	if drained == nil {
		drained = make(chan struct{})
		if len(s.conns) == 0 {
			close(drained)
			s.cancel()
			return drained
		}
		s.drained = drained
	}
	for c := range s.conns {
		c.wake()
	}
	return drained
}

func (s *Server) closeAll() {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.raw.Close()
	}
}

// conn is one connection. The goroutine that runs serve owns nc, peer and held.
type conn struct {
	s    *Server
	raw  net.Conn // deadlines and Close, from any goroutine
	nc   net.Conn // reads and writes: raw, or TLS over it
	peer Peer
	held int64 // bytes claimed of Server.pending

	mu      sync.Mutex // guards these, and raw's read deadline with them
	idle    bool       // no frame in hand
	closing bool
}

// wake makes a connection without a frame in hand end.
func (c *conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closing = true
	if c.idle {
		c.raw.SetReadDeadline(longAgo)
	}
}

var longAgo = time.Unix(1, 0)

func (c *conn) serve() {
	defer c.s.gone(c)
	defer func() { c.s.pending.Add(-c.held) }()
	c.peer.Addr = c.nc.RemoteAddr()
	if c.s.TLS != nil && !c.handshake() {
		c.s.stats.refused.Add(1)
		return
	}
	f := NewFrameReader(c.nc, c.s.maxFrame())
	f.conn, f.trailer = c.raw, or(c.s.TrailerTime, defaultTrailer)
	f.claim = c.claim
	var frameEnds time.Time
	f.begun = func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.idle = false
		frameEnds = time.Now().Add(or(c.s.FrameTimeout, time.Minute))
		c.raw.SetReadDeadline(frameEnds)
	}
	f.restore = func() { c.raw.SetReadDeadline(frameEnds) }
	for c.await() {
		content, err := f.Next()
		c.s.stats.junk.Add(f.Junk)
		f.Junk = 0
		if !c.frame(content, err) {
			return
		}
		c.s.pending.Add(-c.held)
		c.held = 0
	}
}

// await begins to wait for a frame; false when the server is closing.
func (c *conn) await() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return false
	}
	c.idle = true
	c.raw.SetReadDeadline(time.Now().Add(or(c.s.IdleTimeout, time.Hour)))
	return true
}

func (c *conn) claim(n int) bool {
	if c.s.pending.Add(int64(n)) > int64(or(c.s.MaxPending, 8*c.s.maxFrame())) {
		c.s.pending.Add(-int64(n))
		return false
	}
	c.held += int64(n)
	return true
}

func (c *conn) handshake() bool {
	tc := tls.Server(c.nc, c.s.TLS)
	ctx, cancel := context.WithTimeout(c.s.base, or(c.s.FrameTimeout, time.Minute))
	defer cancel()
	if err := tc.HandshakeContext(ctx); err != nil {
		c.s.log().Warn("hl7: TLS handshake failed", "peer", c.peer.Addr, "error", err)
		return false
	}
	c.nc = tc
	if state := tc.ConnectionState(); len(state.VerifiedChains) > 0 {
		c.peer.Certificate = state.PeerCertificates[0]
	}
	return true
}

// frame deals with what Next returned; false ends the connection.
func (c *conn) frame(content []byte, err error) bool {
	st := &c.s.stats
	switch {
	case err == nil:
		st.frames.Add(1)
		return c.handle(content)
	case errors.Is(err, ErrFrameTooLong):
		st.tooLong.Add(1)
		c.s.log().Warn("hl7: frame refused", "peer", c.peer.Addr, "error", err)
		return c.refuse(content, &Rejection{&FieldError{Segment: "MSH", Code: Internal, Reason: "the frame is too long"}})
	case errors.Is(err, ErrNoMemory):
		st.tooLong.Add(1)
		c.s.log().Warn("hl7: frame refused", "peer", c.peer.Addr, "error", err)
		return c.refuse(content, &FieldError{Segment: "MSH", Code: Internal, Reason: "the receiver is busy, please send it again"})
	case errors.Is(err, ErrFrameBroken):
		st.broken.Add(1)
		c.s.log().Warn("hl7: frame without an end", "peer", c.peer.Addr, "bytes", len(content))
		return c.refuse(content, &FieldError{Segment: "MSH", Code: SegmentSequence, Reason: "the frame has no end, please send it again"})
	case errors.Is(err, io.ErrUnexpectedEOF):
		st.broken.Add(1)
		c.s.log().Warn("hl7: connection ended inside a frame", "peer", c.peer.Addr, "bytes", len(content))
	case isTimeout(err) && !c.isClosing():
		st.timeouts.Add(1)
		if len(content) > 0 {
			st.broken.Add(1)
		}
		c.s.log().Info("hl7: connection closed for silence", "peer", c.peer.Addr, "inFrame", len(content) > 0)
	}
	return false
}

func (c *conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// refuse answers what never reached the handler. content may be cut off.
func (c *conn) refuse(content []byte, err error) bool {
	v := verdict(err)
	c.s.stats.verdicts[v].Add(1)
	if c.s.CommitBlocks && !c.write([]byte{commitNak}) {
		return false
	}
	m, _ := Parse(content)
	answer := c.s.acknowledge(m, content, v, err)
	return answer == nil || c.write(answer)
}

func (c *conn) write(content []byte) bool {
	c.nc.SetWriteDeadline(time.Now().Add(or(c.s.WriteTimeout, 30*time.Second)))
	if err := WriteFrame(c.nc, content); err != nil {
		c.s.stats.unanswered.Add(1)
		c.s.log().Warn("hl7: answer not sent", "peer", c.peer.Addr, "error", err)
		return false
	}
	return true
}
