package hl7

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// script answers one connection: it is given each frame's control id and the
// function that writes back.
type script func(id string, write func(string))

// play accepts connections and plays one script on each, then closes it when
// the script is done with that many frames.
func play(t testing.TB, l net.Listener, scripts ...script) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, s := range scripts {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			frames := NewFrameReader(nc, 0)
			for {
				b, err := frames.Next()
				if err != nil {
					break
				}
				m, err := Parse(b)
				if err != nil {
					t.Error(err)
					break
				}
				s(m.ControlID(), func(answer string) { nc.Write([]byte(answer)) })
			}
			nc.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
}

func ackFrame(code AckCode, id string) string {
	return "\vMSH|^~\\&|GW|CITY|LAB|MERCY|20260101||ACK|9|P|2.5.1\rMSA|" + string(code) + "|" + id + "\r\x1c\r"
}

func TestClientCreditsAnAnswerToItsMessageOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		play(t, n,
			func(string, func(string)) {}, // never answers
			func(id string, write func(string)) {
				write(ackFrame(AA, "1")) // the late one
				write(ackFrame(AE, "0"))
				write(ackFrame(AA, "")) // nobody's
				write(ackFrame(AR, id))
			})
		c := &Client{Dial: n.Dial}
		defer c.Close()
		start := time.Now()
		var lost *Unanswered
		if _, err := c.Send(t.Context(), []byte(message("1"))); !errors.As(err, &lost) || time.Since(start) != 30*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if a, err := c.Send(t.Context(), []byte(message("2"))); err != nil || a.Code != AR || a.Message.Get("MSA-2") != "2" {
			t.Errorf("%v, %v", a, err)
		}
		if c.Stray() != 3 {
			t.Errorf("%d stray answers", c.Stray())
		}
	})
}

func TestClientAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		msg    string
		answer func(id string) string
		code   AckCode
		err    string
	}{
		"accepted":                       {message("1"), func(id string) string { return ackFrame(CA, id) }, CA, ""},
		"escaped control id":             {message(`a\T\b`), func(string) string { return ackFrame(AA, `a\T\b`) }, AA, ""},
		"blanks about the control id":    {message(" 1"), func(string) string { return ackFrame(AA, "1 ") }, AA, ""},
		"an answer without its last CR":  {message("1"), func(id string) string { return strings.TrimSuffix(ackFrame(AA, id), "\r") }, AA, ""},
		"no control id":                  {message(""), func(string) string { return ackFrame(AA, "") }, AA, ""},
		"rejected by one who can't read": {message("1"), func(string) string { return ackFrame(AR, "") }, AR, ""},
		"no acknowledgement":             {message("1"), func(id string) string { return framed(id) }, "", "hl7: no answer: the answer is no acknowledgement"},
		"not HL7":                        {message("1"), func(string) string { return "\vOK\x1c\r" }, "", "hl7: no answer: the answer is no acknowledgement"},
		"a code of its own":              {message("1"), func(id string) string { return ackFrame("OK", id) }, "", "hl7: no answer: the answer is no acknowledgement"},
		"wants none":                     {strings.Replace(message("1"), "2.5.1", "2.5.1|||NE|NE", 1), nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newPipeNet()
				play(t, n, func(id string, write func(string)) {
					if c.answer != nil {
						write(c.answer(id))
					}
				})
				client := &Client{Dial: n.Dial}
				defer client.Close()
				a, err := client.Send(t.Context(), []byte(c.msg))
				if a.Code != c.code || fmt.Sprint(err) != c.err && (err != nil || c.err != "") {
					t.Errorf("%q, %v; want %q, %s", a.Code, err, c.code, c.err)
				}
			})
		})
	}
}

func TestClientReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		good := func(id string, write func(string)) { write(ackFrame(AA, id)) }
		calls := 0
		play(t, n, good, func(string, func(string)) { panic("not reached: the connection is closed first") }, good)
		c := &Client{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := n.Dial(ctx, network, addr)
			if calls++; calls == 2 && err == nil {
				nc.Close()
			}
			return nc, err
		}}
		defer c.Close()
		for i, want := range []string{"", "lost", ""} {
			_, err := c.Send(t.Context(), []byte(message("1")))
			var lost *Unanswered
			if errors.As(err, &lost) != (want == "lost") || want == "" && err != nil {
				t.Errorf("message %d: %v", i, err)
			}
			if i == 0 {
				c.Close()
			}
		}
	})
}

func TestClientTellsWhatItNeverSent(t *testing.T) {
	n := newPipeNet()
	n.Close()
	c := &Client{Addr: "nowhere:1", Dial: n.Dial}
	var lost *Unanswered
	if _, err := c.Send(t.Context(), []byte(message("1"))); err == nil || errors.As(err, &lost) || !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	var fe *FieldError
	if _, err := c.Send(t.Context(), []byte("hello")); !errors.As(err, &fe) {
		t.Error(err)
	}
}

func TestClientStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		play(t, n, func(string, func(string)) {}, func(id string, write func(string)) { write(ackFrame(AA, id)) })
		c := &Client{Dial: n.Dial}
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var lost *Unanswered
		if _, err := c.Send(ctx, []byte(message("1"))); !errors.As(err, &lost) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if a, err := c.Send(t.Context(), []byte(message("2"))); err != nil || a.Code != AA {
			t.Error(a, err)
		}
	})
}

func TestClientWithCommitBlocks(t *testing.T) {
	s := &Server{CommitBlocks: true, Handler: HandlerFunc(func(_ context.Context, r *Request) error {
		if r.Message.ControlID() == "bad" {
			return errors.New("no")
		}
		return nil
	})}
	c := &Client{Addr: serveTCP(t, s), CommitBlocks: true}
	defer c.Close()
	if a, err := c.Send(t.Context(), []byte(message("1"))); err != nil || a.Code != AA {
		t.Error(a.Code, err)
	}
	if _, err := c.Send(t.Context(), []byte(message("bad"))); !errors.Is(err, ErrCommitRefused) {
		t.Error(err)
	}
	if a, err := c.Send(t.Context(), []byte(strings.Replace(message("2"), "2.5.1", "2.5.1|||NE|NE", 1))); err != nil || a.Code != "" {
		t.Error(a.Code, err)
	}
	if a, err := c.Send(t.Context(), []byte(message("3"))); err != nil || a.Code != AA {
		t.Error(a.Code, err)
	}
}
