package hl7

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// handle gives a frame to the handler and answers it; false ends the connection.
func (c *conn) handle(content []byte) bool {
	return c.answer(c.s.Answer(c.s.base, c.peer, content))
}

// Answer gives one message, or each of a batch, to the handler and builds what
// goes back: an acknowledgement, a batch of them, nil when the sender wants
// none. The verdict is that on the worst of a batch. It needs no connection: for
// messages that come another way than MLLP.
func (s *Server) Answer(ctx context.Context, peer Peer, content []byte) ([]byte, Verdict) {
	began := time.Now()
	defer func() { s.took.add(time.Since(began)) }()
	if batch := isBatch(content); batch != nil {
		return s.batch(ctx, peer, batch)
	}
	return s.one(ctx, peer, content, nil)
}

// answer writes an acknowledgement, after the commit block where those are on.
// A nil answer means that the sender wants none.
func (c *conn) answer(content []byte, v Verdict) bool {
	if c.s.CommitBlocks {
		if v == Failed {
			return c.write([]byte{commitNak})
		}
		if !c.write([]byte{commitAck}) {
			return false
		}
	}
	if content == nil {
		if !c.s.CommitBlocks {
			c.s.stats.unanswered.Add(1)
		}
		return true
	}
	return c.write(content)
}

// one gives one message to the handler and builds its answer. problem is set
// for what is known not to be a message.
func (s *Server) one(ctx context.Context, peer Peer, content []byte, problem error) ([]byte, Verdict) {
	r := &Request{Bytes: content, Peer: peer, Problem: problem}
	if problem == nil {
		r.Message, r.Problem = Limits{Bytes: s.maxFrame() + 1}.Parse(content)
	}
	err := s.call(ctx, r)
	if err == nil && r.Problem != nil {
		err = &Rejection{r.Problem}
	}
	v := verdict(err)
	s.stats.verdicts[v].Add(1)
	return s.acknowledge(r.Message, content, v, err), v
}

// acknowledge builds the answer to a message, or to content when m is nil; nil
// when the sender wants none.
func (s *Server) acknowledge(m *Message, content []byte, v Verdict, err error) []byte {
	if m == nil {
		return Acknowledge(content, s.ack([...]AckCode{AA, AE, AR}[v], err))
	}
	code, wanted := m.AckMode().Code(v)
	if !wanted {
		return nil
	}
	return m.Ack(s.ack(code, err))
}

func (s *Server) ack(code AckCode, err error) Ack {
	a := Ack{Code: code, At: s.now(), Err: err}
	if s.NewID != nil {
		a.ID = s.NewID()
	} else {
		a.ID = rand.Text()[:20]
	}
	return a
}

var errPanic = errors.New("hl7: the handler panicked")

// call runs the handler. A panic is a failure of this message, not of the feed.
// Its value is not logged: it may hold anything.
func (s *Server) call(ctx context.Context, r *Request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log().Error("hl7: handler panicked", "peer", r.Peer, "kind", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	return s.Handler.HandleHL7(ctx, r)
}

// isBatch gives the parts of a frame that holds a batch or several messages,
// nil for one message or junk.
func isBatch(content []byte) []Part {
	start := bytes.TrimLeft(bytes.TrimPrefix(content, []byte(bom)), "\r\n")
	several := bytes.HasPrefix(start, []byte("FHS")) || bytes.HasPrefix(start, []byte("BHS"))
	if !several {
		if !bytes.HasPrefix(start, []byte("MSH")) || !bytes.Contains(start[3:], []byte("\rMSH")) && !bytes.Contains(start[3:], []byte("\nMSH")) {
			return nil
		}
	}
	var parts []Part
	messages := 0
	for p := range Split(content) {
		parts = append(parts, p)
		if p.Kind == MessagePart {
			messages++
		}
	}
	if !several && messages < 2 {
		return nil
	}
	return parts
}

// batch handles each message of a batch by itself and answers with a batch of
// the acknowledgements, in order. Lines that belong to no message go to the
// handler as what they are: something that cannot be parsed.
//
// Source: HL7 v2.9 chapter 2.10.3.3, Acknowledging batches.
func (s *Server) batch(ctx context.Context, peer Peer, parts []Part) ([]byte, Verdict) {
	var acks [][]byte
	worst := Accepted
	add := func(answer []byte, v Verdict) {
		if answer != nil {
			acks = append(acks, answer)
		}
		if v == Failed || worst == Accepted {
			worst = v
		}
	}
	var head []byte
	for _, p := range parts {
		switch p.Kind {
		case MessagePart:
			add(s.one(ctx, peer, p.Message(), nil))
		case JunkPart:
			if !p.Blank() {
				add(s.one(ctx, peer, p.Bytes, &FieldError{Segment: "MSH", Code: SegmentSequence, Reason: "lines between the messages of the batch belong to none"}))
			}
		case HeaderPart:
			if head == nil || bytes.HasPrefix(head, []byte("FHS")) {
				head = p.Message()
			}
		case TrailerPart:
			if p.Declared >= 0 && p.Declared != p.Seen {
				s.log().Warn("hl7: a batch is not as long as it says", "peer", peer, "declared", p.Declared, "seen", p.Seen)
			}
		}
	}
	return s.batchAck(head, acks), worst
}

// batchAck wraps acknowledgements in a batch, if the message came in one.
func (s *Server) batchAck(head []byte, acks [][]byte) []byte {
	if len(acks) == 0 && head == nil {
		return nil
	}
	if head == nil {
		return bytes.Join(acks, nil)
	}
	a := s.ack("", nil)
	line := string(bytes.TrimRight(head, "\r\n"))
	d, reason := delimiters(line)
	if reason != "" {
		d, line = Standard, ""
	}
	field := func(n int) string { v, _ := nth(line, d.Field, n-1); return v }
	sep := string(rune(d.Field))
	b := []byte("BHS" + sep + d.Encoding() + sep + field(5) + sep + field(6) + sep + field(3) + sep + field(4) + sep +
		a.At.Format("20060102150405-0700") + sep + sep + sep + sep + a.ID + sep + field(11) + "\r")
	for _, ack := range acks {
		b = append(b, ack...)
	}
	return fmt.Appendf(b, "BTS%s%d\r", sep, len(acks))
}
