package hl7

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime/debug"
)

// handle gives a frame to the handler and answers it; false ends the connection.
func (c *conn) handle(content []byte) bool {
	if batch := isBatch(content); batch != nil {
		return c.batch(batch)
	}
	answer, v := c.one(content, nil)
	return c.answer(answer, v)
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
func (c *conn) one(content []byte, problem error) ([]byte, Verdict) {
	r := &Request{Bytes: content, Peer: c.peer, Problem: problem}
	if problem == nil {
		r.Message, r.Problem = Limits{Bytes: c.s.maxFrame() + 1}.Parse(content)
	}
	err := c.call(r)
	if err == nil && r.Problem != nil {
		err = &Rejection{r.Problem}
	}
	v := verdict(err)
	c.s.stats.verdicts[v].Add(1)
	return c.s.acknowledge(r.Message, content, v, err), v
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
func (c *conn) call(r *Request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.s.log().Error("hl7: handler panicked", "peer", c.peer.Addr, "kind", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	return c.s.Handler.HandleHL7(c.s.base, r)
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
func (c *conn) batch(parts []Part) bool {
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
			add(c.one(p.Message(), nil))
		case JunkPart:
			if !p.Blank() {
				add(c.one(p.Bytes, &FieldError{Segment: "MSH", Code: SegmentSequence, Reason: "lines between the messages of the batch belong to none"}))
			}
		case HeaderPart:
			if head == nil || bytes.HasPrefix(head, []byte("FHS")) {
				head = p.Message()
			}
		case TrailerPart:
			if p.Declared >= 0 && p.Declared != p.Seen {
				c.s.log().Warn("hl7: a batch is not as long as it says", "peer", c.peer.Addr, "declared", p.Declared, "seen", p.Seen)
			}
		}
	}
	return c.answer(c.s.batchAck(head, acks), worst)
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
