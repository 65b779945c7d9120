package hl7

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// Client sends messages over one MLLP connection, one at a time: each waits for
// the answer to the one before. It dials when it must. Its exported fields are
// set before the first Send; many goroutines may send.
type Client struct {
	Addr string
	TLS  *tls.Config // where set, the connection is encrypted

	DialTimeout  time.Duration // default 10 seconds
	WriteTimeout time.Duration // default 30 seconds
	AckTimeout   time.Duration // from the message's last byte; default 30 seconds

	// CommitBlocks expects the one-byte blocks of MLLP release 2 before an answer.
	CommitBlocks bool

	// Dial replaces net.Dialer for tests and tunnels. TLS goes over it.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	mu     sync.Mutex
	nc     net.Conn
	frames *FrameReader
	stray  int64
}

// An Answer is what the receiver said about a message.
type Answer struct {
	Code    AckCode  // MSA-1; empty when the message asked for no answer to success
	Message *Message // the acknowledgement; may quote the sender's data, so keep it out of logs
}

// Unanswered is the error of a Send whose outcome is not known: the message may
// or may not have arrived. Sending it again is what the protocol expects.
type Unanswered struct{ Err error }

func (u *Unanswered) Error() string { return "hl7: no answer: " + u.Err.Error() }
func (u *Unanswered) Unwrap() error { return u.Err }

// Errors that Send wraps.
var (
	ErrCommitRefused = errors.New("hl7: the receiver could not store the message (MLLP NAK)")
	ErrNoAck         = errors.New("the answer is no acknowledgement")
)

// Send sends one message and waits for its answer, which is one whose MSA-2 is
// the message's MSH-10. Others are skipped and counted (Stray), so that a late
// answer is never taken for the next message's. After a time-out or any other
// trouble the connection is closed, so that nothing late can come on it, and
// the error is an *Unanswered once the message was on its way.
//
// A negative answer without MSA-2 is taken, because a receiver that cannot read
// a message cannot name it; a positive one must name it.
//
// The message's segments must end in CR; see Message.Wire.
func (c *Client) Send(ctx context.Context, message []byte) (Answer, error) {
	m, err := Parse(message)
	if err != nil {
		return Answer{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.connect(ctx); err != nil {
		return Answer{}, err
	}
	nc := c.nc
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(longAgo) })
	answer, err := c.exchange(ctx, m, message)
	if !stop() { // the context ended, perhaps behind the answer
		c.disconnect()
	}
	if err != nil && !errors.Is(err, ErrCommitRefused) {
		c.disconnect()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return Answer{}, &Unanswered{err}
	}
	return answer, err
}

func (c *Client) connect(ctx context.Context) error {
	if c.nc != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, or(c.DialTimeout, 10*time.Second))
	defer cancel()
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	nc, err := dial(ctx, "tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("hl7: connecting to %s: %w", c.Addr, err)
	}
	if c.TLS != nil {
		config := c.TLS
		if config.ServerName == "" && !config.InsecureSkipVerify {
			config = config.Clone()
			config.ServerName, _, _ = net.SplitHostPort(c.Addr)
		}
		tc := tls.Client(nc, config)
		if err := tc.HandshakeContext(ctx); err != nil {
			nc.Close()
			return fmt.Errorf("hl7: connecting to %s: %w", c.Addr, err)
		}
		nc = tc
	}
	c.nc, c.frames = nc, NewFrameReader(nc, 0)
	c.frames.conn, c.frames.trailer = nc, defaultTrailer
	return nil
}

func (c *Client) exchange(ctx context.Context, m *Message, message []byte) (Answer, error) {
	c.deadline(ctx, c.nc.SetWriteDeadline, time.Now().Add(or(c.WriteTimeout, 30*time.Second)))
	if err := WriteFrame(c.nc, message); err != nil {
		return Answer{}, err
	}
	_, expects := m.AckMode().Code(Accepted)
	if !expects && !c.CommitBlocks {
		return Answer{}, nil
	}
	ends := time.Now().Add(or(c.AckTimeout, 30*time.Second))
	c.frames.restore = func() { c.deadline(ctx, c.nc.SetReadDeadline, ends) }
	c.frames.restore()
	committed := !c.CommitBlocks
	for {
		frame, err := c.frames.Next()
		if err != nil {
			return Answer{}, err
		}
		if c.CommitBlocks && len(frame) == 1 {
			if frame[0] == commitNak {
				return Answer{}, ErrCommitRefused
			}
			committed = true
			if !expects {
				return Answer{}, nil
			}
			continue
		}
		answer, ours, err := match(m, frame)
		if err != nil {
			return Answer{}, err
		}
		if ours && committed {
			return answer, nil
		}
		c.stray++
	}
}

// deadline sets one, unless the context has ended and set its own.
func (c *Client) deadline(ctx context.Context, set func(time.Time) error, ends time.Time) {
	set(ends)
	if ctx.Err() != nil {
		set(longAgo)
	}
}

// match reads an acknowledgement and tells whether it is m's.
func match(m *Message, frame []byte) (a Answer, ours bool, err error) {
	ack, err := Parse(frame)
	if err != nil {
		return Answer{}, false, ErrNoAck
	}
	msa := ack.Segment("MSA")
	code := AckCode(strings.TrimSpace(msa.Field(1).String()))
	if !code.Known() {
		return Answer{}, false, ErrNoAck
	}
	id, want := msa.Field(2).Text(), m.header().Field(10).Text()
	ours = strings.TrimSpace(id) == strings.TrimSpace(want) || id == "" && !code.Positive()
	return Answer{code, ack}, ours, nil
}

// Stray counts the answers that belonged to no message in hand.
func (c *Client) Stray() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stray
}

func (c *Client) disconnect() {
	if c.nc != nil {
		c.nc.Close()
		c.nc, c.frames = nil, nil
	}
}

// Close ends the connection; a later Send opens a new one.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disconnect()
	return nil
}
