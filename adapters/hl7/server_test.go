package hl7

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var accept = HandlerFunc(func(context.Context, *Request) error { return nil })

func TestServerAnswersInOrderHoweverFramesArrive(t *testing.T) {
	var mu sync.Mutex
	var got []string
	s := &Server{TrailerTime: time.Millisecond, Handler: HandlerFunc(func(_ context.Context, r *Request) error {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.Message.ControlID())
		return nil
	})}
	p := dialTCP(t, serveTCP(t, s))
	go func() {
		p.write(framed("1") + framed("2") + framed("3")) // joined
		for _, b := range []byte(framed("4")) {          // in pieces
			p.write(string(b))
		}
		p.write("some junk\r\n" + framed("5"))
		p.write(strings.TrimSuffix(framed("6"), "\r")) // the sender forgets the trailer's CR and waits
	}()
	for _, id := range []string{"1", "2", "3", "4", "5", "6"} {
		if a := p.answer(); a != "AA "+id {
			t.Errorf("%s, want AA %s", a, id)
		}
	}
	p.write("\r" + framed("7"))
	if a := p.answer(); a != "AA 7" {
		t.Errorf("%s, want AA 7", a)
	}
	if diff := cmp.Diff([]string{"1", "2", "3", "4", "5", "6", "7"}, got); diff != "" {
		t.Error(diff)
	}
	if st := s.Stats(); st.Frames != 7 || st.Positive != 7 || st.Junk != 8 || st.Accepted != 1 || st.Open != 1 {
		t.Errorf("%+v", st)
	}
}

func TestAFrameCutOffByTheNextIsRefusedAndNeverHandled(t *testing.T) {
	s := &Server{Handler: HandlerFunc(func(_ context.Context, r *Request) error {
		if r.Message.ControlID() != "2" {
			t.Errorf("handled %s", r.Message.ControlID())
		}
		return nil
	})}
	p := dialTCP(t, serveTCP(t, s))
	p.write("\v" + message("1") + framed("2"))
	if a, b := p.answer(), p.answer(); a != "AE 1" || b != "AA 2" {
		t.Errorf("%s, %s", a, b)
	}
	p.write("\v" + message("3"))
	p.Conn.(*net.TCPConn).CloseWrite()
	if a := p.answer(); a != "EOF" {
		t.Errorf("a frame that the connection's end cut off: %s", a)
	}
	if st := s.Stats(); st.Broken != 2 || st.Positive != 1 || st.Failed != 1 {
		t.Errorf("%+v", st)
	}
}

func TestFramesOverTheLimitAreRefusedAndTheConnectionGoesOn(t *testing.T) {
	s := &Server{Handler: accept, MaxFrame: 10_000}
	p := dialTCP(t, serveTCP(t, s))
	go p.write("\v" + message("1") + strings.Repeat("NTE|x\r", 100_000) + "\x1c\r" + framed("2"))
	if a, b := p.answer(), p.answer(); a != "AR 1" || b != "AA 2" {
		t.Errorf("%s, %s", a, b)
	}
	if st := s.Stats(); st.TooLong != 1 || st.Rejected != 1 {
		t.Errorf("%+v", st)
	}
}

func TestFramesInHandAreBoundedTogether(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s := &Server{MaxFrame: 10_000, MaxPending: 12_000, Handler: HandlerFunc(func(_ context.Context, r *Request) error {
		if r.Message.ControlID() == "1" {
			close(entered)
			<-leave
		}
		return nil
	})}
	addr := serveTCP(t, s)
	one, two := dialTCP(t, addr), dialTCP(t, addr)
	big := func(id string) string { return "\v" + message(id) + strings.Repeat("NTE|x\r", 1000) + "\x1c\r" }
	one.write(big("1"))
	<-entered
	two.write(big("2"))
	if a := two.answer(); a != "AE 2" {
		t.Errorf("%s, want AE 2", a)
	}
	close(leave)
	if a := one.answer(); a != "AA 1" {
		t.Errorf("%s, want AA 1", a)
	}
	one.write(framed("x"))
	if a := one.answer(); a != "AA x" { // by now the first one's bytes are given back
		t.Errorf("%s, want AA x", a)
	}
	two.write(big("3"))
	if a := two.answer(); a != "AA 3" {
		t.Errorf("%s, want AA 3", a)
	}
}

func TestConnectionsOverTheLimitAreClosed(t *testing.T) {
	s := &Server{Handler: accept, MaxConns: 1}
	addr := serveTCP(t, s)
	one := dialTCP(t, addr)
	one.write(framed("1"))
	if a := one.answer(); a != "AA 1" {
		t.Fatal(a)
	}
	if _, err := dialTCP(t, addr).frames.Next(); err == nil {
		t.Error("a second connection is served")
	}
	one.write(framed("2"))
	if a := one.answer(); a != "AA 2" {
		t.Error(a)
	}
	if st := s.Stats(); st.Refused != 1 || st.Accepted != 1 {
		t.Errorf("%+v", st)
	}
}

func TestWhatTheHandlerReturnsIsTheAnswer(t *testing.T) {
	const secret = "Mrs Miller"
	var log strings.Builder
	s := &Server{Logger: slog.New(slog.NewTextHandler(&log, nil)), Handler: HandlerFunc(func(_ context.Context, r *Request) error {
		switch r.Message.ControlID() {
		case "error":
			return errors.New(secret)
		case "field":
			return fmt.Errorf("%s: %w", secret, r.Message.Segment("PID").Field(3).Err("odd"))
		case "reject":
			return &Rejection{errors.New(secret)}
		case "panic":
			panic(secret)
		}
		return nil
	})}
	p := dialTCP(t, serveTCP(t, s))
	for id, want := range map[string]string{
		"ok": "AA ok", "error": "AE error", "field": "AE field PID^1^3^1 odd", "reject": "AR reject", "panic": "AE panic",
	} {
		p.write(framed(id))
		b, err := p.frames.Next()
		if err != nil {
			t.Fatal(err)
		}
		m := parse(t, string(b))
		got := answerOf(b)
		if id == "field" {
			got += " " + m.Segment("ERR").Field(2).Raw() + " " + m.Get("ERR-8")
		}
		if got != want || strings.Contains(string(b), secret) {
			t.Errorf("%q, want %s", b, want)
		}
	}
	s.Close()
	if strings.Contains(log.String(), secret) || !strings.Contains(log.String(), "handler panicked") {
		t.Errorf("log: %s", log.String())
	}
	if st := s.Stats(); st.Positive != 1 || st.Failed != 3 || st.Rejected != 1 {
		t.Errorf("%+v", st)
	}
}

func TestEnhancedModeAndNoAnswer(t *testing.T) {
	p := dialTCP(t, serveTCP(t, &Server{Handler: accept}))
	p.write(strings.ReplaceAll(framed("1"), "2.5.1", "2.5.1|||AL|NE") + strings.ReplaceAll(framed("2"), "2.5.1", "2.5.1|||NE|NE") + framed("3"))
	if a, b := p.answer(), p.answer(); a != "CA 1" || b != "AA 3" {
		t.Errorf("%s, %s", a, b)
	}
}

func TestFramesThatAreNoMessageReachTheHandlerAndAreRejected(t *testing.T) {
	var got []string
	s := &Server{Handler: HandlerFunc(func(_ context.Context, r *Request) error {
		got = append(got, fmt.Sprintf("%q: %v", r.Bytes, r.Problem))
		if string(r.Bytes) == "full" {
			return errors.New("disk full")
		}
		return nil
	})}
	p := dialTCP(t, serveTCP(t, s))
	p.write("\vhello\x1c\r\v\x1c\r\vfull\x1c\r")
	if a, b, c := p.answer(), p.answer(), p.answer(); a != "AR " || b != "AR " || c != "AE " {
		t.Errorf("%s, %s, %s", a, b, c)
	}
	want := []string{
		`"hello": hl7: MSH: the message does not begin with MSH`, `"": hl7: MSH: the message is empty`,
		`"full": hl7: MSH: the message does not begin with MSH`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBatches(t *testing.T) {
	var got []string
	s := &Server{Now: func() time.Time { return ackTime }, Handler: HandlerFunc(func(_ context.Context, r *Request) error {
		switch {
		case r.Message == nil:
			got = append(got, fmt.Sprintf("%q", r.Bytes))
		case r.Message.ControlID() == "bad":
			return errors.New("no")
		default:
			got = append(got, string(r.Bytes))
		}
		return nil
	})}
	p := dialTCP(t, serveTCP(t, s))
	p.write("\vFHS|^~\\&|\rBHS|^~\\&|L|M|G|C|||||B9\r" + message("1") + message("bad") + message("2") + "BTS|3\rPID|stray\rFTS|1\r\x1c\r")
	b, err := p.frames.Next()
	if err != nil {
		t.Fatal(err)
	}
	var answers []string
	for part := range Split(b) {
		if part.Kind == MessagePart {
			answers = append(answers, answerOf(part.Message()))
		} else {
			answers = append(answers, string(part.Bytes))
		}
	}
	if diff := cmp.Diff([]string{"BHS|^~\\&|G|C|L|M|20260102030405-0500||||7|B9\r", "AA 1", "AE bad", "AA 2", "AR ", "BTS|4\r"}, answers); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{message("1"), message("2"), `"PID|stray\r"`}, got); diff != "" {
		t.Error(diff)
	}
	p.write("\v" + message("3") + message("4") + "\x1c\r") // several without a batch
	if b, err = p.frames.Next(); err != nil || strings.Count(string(b), "MSA|AA|") != 2 || strings.Contains(string(b), "BHS") {
		t.Errorf("%q, %v", b, err)
	}
	p.write("\vBHS|^~\\&|L|M|G|C|||||B9\rBTS|0\r\x1c\r") // empty
	if b, err = p.frames.Next(); err != nil || !strings.HasSuffix(string(b), "|B9\rBTS|0\r") {
		t.Errorf("%q, %v", b, err)
	}
}

func TestCommitBlocks(t *testing.T) {
	s := &Server{CommitBlocks: true, MaxFrame: 5000, Handler: HandlerFunc(func(_ context.Context, r *Request) error {
		if r.Message != nil && r.Message.ControlID() == "bad" {
			return errors.New("no")
		}
		return nil
	})}
	p := dialTCP(t, serveTCP(t, s))
	go p.write(framed("1") + framed("bad") + "\vhello\x1c\r" + strings.ReplaceAll(framed("2"), "2.5.1", "2.5.1|||NE|NE") +
		"\v" + strings.Repeat("x", 6000) + "\x1c\r")
	for _, want := range []string{"\x06", "AA 1", "\x15", "\x06", "AR ", "\x06", "\x15", "AR "} {
		if got := p.answer(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestNoAnswerLeavesBeforeTheHandlerReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stored := make(chan struct{})
		n := newPipeNet()
		serveOn(t, &Server{Handler: HandlerFunc(func(context.Context, *Request) error { <-stored; return nil })}, n)
		nc, err := n.Dial(t.Context(), "", "")
		p := newPeer(t, nc, err)
		answers := make(chan string, 1)
		go func() { p.write(framed("1")); answers <- p.answer() }()
		synctest.Wait()
		select {
		case a := <-answers:
			t.Errorf("%s before the message was stored", a)
		default:
		}
		close(stored)
		if a := <-answers; a != "AA 1" {
			t.Error(a)
		}
	})
}

func TestAHandlerThatIsBusyHoldsTheSenderBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stored := make(chan struct{})
		n := newPipeNet()
		serveOn(t, &Server{Handler: HandlerFunc(func(context.Context, *Request) error { <-stored; return nil })}, n)
		nc, err := n.Dial(t.Context(), "", "")
		p := newPeer(t, nc, err)
		sent := 0
		go func() {
			for range 100_000 {
				if _, err := p.Write([]byte(framed("1"))); err != nil {
					return
				}
				sent++
			}
		}()
		synctest.Wait()
		if most := 3 * 32 << 10; sent*len(framed("1")) > most {
			t.Errorf("%d messages were taken while one is in hand", sent)
		}
		close(stored)
	})
}

func TestSilentConnectionsAreClosed(t *testing.T) {
	for name, c := range map[string]struct {
		sent string
		want time.Duration
	}{
		"between frames":                  {"", time.Hour},
		"between frames, behind a frame":  {framed("1"), time.Hour},
		"inside a frame":                  {"\v" + message("1"), time.Minute},
		"inside a frame's trailing start": {"\v" + message("1") + "\v", time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newPipeNet()
				s := &Server{Handler: accept}
				serveOn(t, s, n)
				nc, err := n.Dial(t.Context(), "", "")
				p := newPeer(t, nc, err)
				start := time.Now()
				p.write(c.sent)
				for {
					if _, err := p.frames.Next(); err != nil {
						break
					}
				}
				if got := time.Since(start); got != c.want {
					t.Errorf("closed after %v, want %v", got, c.want)
				}
				synctest.Wait()
				if st := s.Stats(); st.Timeouts != 1 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestASlowDripDoesNotKeepAFrameOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		serveOn(t, &Server{Handler: accept}, n)
		nc, err := n.Dial(t.Context(), "", "")
		p := newPeer(t, nc, err)
		p.write("\vMSH|")
		start := time.Now()
		for {
			time.Sleep(10 * time.Second)
			if _, err := p.Write([]byte("x")); err != nil {
				break
			}
		}
		if took := time.Since(start); took > 80*time.Second {
			t.Errorf("a frame was open for %v", took)
		}
	})
}

func TestAPeerThatDoesNotReadItsAnswersIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		s := &Server{Handler: accept}
		serveOn(t, s, n)
		nc, err := n.Dial(t.Context(), "", "")
		p := newPeer(t, nc, err)
		p.write(framed("1"))
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if st := s.Stats(); st.Open != 0 || st.Unanswered != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestShutdownFinishesWhatIsInHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		entered, stored := make(chan struct{}), make(chan struct{})
		n := newPipeNet()
		s := &Server{Handler: HandlerFunc(func(context.Context, *Request) error { close(entered); <-stored; return nil })}
		serveOn(t, s, n)
		dial := func() *peer { nc, err := n.Dial(t.Context(), "", ""); return newPeer(t, nc, err) }
		idle, busy := dial(), dial()
		answers := make(chan string)
		go func() {
			busy.write(framed("1"))
			answers <- busy.answer()
			answers <- busy.answer()
		}()
		<-entered
		down := make(chan error, 1)
		go func() { down <- s.Shutdown(context.Background()) }()
		if _, err := idle.frames.Next(); err != io.EOF {
			t.Errorf("the idle connection: %v", err)
		}
		synctest.Wait()
		select {
		case err := <-down:
			t.Errorf("Shutdown did not wait: %v", err)
		default:
		}
		if _, err := n.Dial(t.Context(), "", ""); err == nil {
			t.Error("a new connection is taken")
		}
		close(stored)
		if a := <-answers; a != "AA 1" {
			t.Errorf("the message in hand: %s", a)
		}
		if a := <-answers; a != "EOF" {
			t.Errorf("behind it: %s", a)
		}
		if err := <-down; err != nil {
			t.Error(err)
		}
		if err := s.Serve(newPipeNet()); err != ErrServerClosed {
			t.Errorf("Serve behind Shutdown: %v", err)
		}
	})
}

func TestShutdownLetsAFrameThatHasBegunArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		s := &Server{Handler: accept}
		serveOn(t, s, n)
		nc, err := n.Dial(t.Context(), "", "")
		p := newPeer(t, nc, err)
		whole := framed("1")
		p.write(whole[:20])
		synctest.Wait()
		down := make(chan error, 1)
		go func() { down <- s.Shutdown(context.Background()) }()
		synctest.Wait()
		go p.write(whole[20:])
		if a := p.answer(); a != "AA 1" {
			t.Error(a)
		}
		if err := <-down; err != nil {
			t.Error(err)
		}
	})
}

func TestShutdownWithoutTimeCancelsHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		entered := make(chan struct{})
		n := newPipeNet()
		s := &Server{Handler: HandlerFunc(func(ctx context.Context, _ *Request) error { close(entered); <-ctx.Done(); return ctx.Err() })}
		serveOn(t, s, n)
		nc, err := n.Dial(t.Context(), "", "")
		p := newPeer(t, nc, err)
		go p.write(framed("1"))
		<-entered
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if a := p.answer(); a != "EOF" {
			t.Errorf("an answer to a message that was not stored: %s", a)
		}
	})
}

func TestShutdownOfAServerThatNeverServed(t *testing.T) {
	s := &Server{Handler: accept}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

type flakyListener struct {
	net.Listener
	fails int
}

type temporary struct{}

func (temporary) Error() string   { return "too many open files" }
func (temporary) Temporary() bool { return true }

func (f *flakyListener) Accept() (net.Conn, error) {
	if f.fails--; f.fails >= 0 {
		return nil, temporary{}
	}
	return f.Listener.Accept()
}

func TestServeOutlivesTemporaryErrorsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		serveOn(t, &Server{Handler: accept}, &flakyListener{n, 20})
		nc, err := n.Dial(t.Context(), "", "")
		p := newPeer(t, nc, err)
		go p.write(framed("1"))
		if a := p.answer(); a != "AA 1" {
			t.Error(a)
		}
	})
	n := newPipeNet()
	n.Close()
	if err := (&Server{Handler: accept}).Serve(n); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestManyConnectionsAtOnce(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	s := &Server{Handler: HandlerFunc(func(_ context.Context, r *Request) error {
		mu.Lock()
		defer mu.Unlock()
		seen[r.Message.ControlID()]++
		return nil
	})}
	addr := serveTCP(t, s)
	var wg sync.WaitGroup
	for c := range 16 {
		wg.Go(func() {
			client := &Client{Addr: addr}
			defer client.Close()
			for i := range 50 {
				id := fmt.Sprintf("%d.%d", c, i)
				if a, err := client.Send(t.Context(), []byte(message(id))); err != nil || a.Code != AA {
					t.Errorf("%s: %v, %v", id, a.Code, err)
				}
			}
		})
	}
	wg.Wait()
	if len(seen) != 800 || s.Stats().Positive != 800 {
		t.Errorf("%d messages, %+v", len(seen), s.Stats())
	}
}
