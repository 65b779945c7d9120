package adapters

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"firebreak/adapters/hl7"
	"firebreak/inbox"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/time/rate"
)

// memory is an inbox that keeps what it is given, or fails.
type memory struct {
	mu    sync.Mutex
	fails error
	kept  []inbox.Message
	then  func(inbox.Message) // is done before a message is kept
}

func (m *memory) Put(_ context.Context, msg inbox.Message) (inbox.Receipt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.then != nil {
		m.then(msg)
	}
	if m.fails != nil {
		return inbox.Receipt{}, m.fails
	}
	r := inbox.Receipt{ID: inbox.ID(len(m.kept) + 1)}
	for i, k := range m.kept {
		if k.ControlID == msg.ControlID {
			r.Flagged = true
			if string(k.Body) == string(msg.Body) {
				return inbox.Receipt{ID: inbox.ID(i + 1), Duplicate: true}, nil
			}
		}
	}
	m.kept = append(m.kept, msg)
	return r, nil
}

func adt(id, facility string) string {
	return "MSH|^~\\&|ADT|" + facility + "|GW|CITY|20260101||ADT^A08|" + id + "|P|2.5.1\rPID|1||secret\r"
}

// feed runs a listener and gives a function that sends one frame and returns
// "MSA-1 MSA-2 ERR-8" of each answer.
func feed(t *testing.T, h *HL7) func(content string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := h.Server()
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nc.Close()
		s.Close()
		if err := <-done; err != hl7.ErrServerClosed {
			t.Error(err)
		}
	})
	frames := hl7.NewFrameReader(nc, 0)
	return func(content string) string {
		t.Helper()
		if err := hl7.WriteFrame(nc, []byte(content)); err != nil {
			t.Fatal(err)
		}
		b, err := frames.Next()
		if err != nil {
			t.Fatal(err)
		}
		var answers []string
		for part := range hl7.Split(b) {
			m, err := hl7.Parse(part.Message())
			if err != nil {
				t.Fatal(err)
			}
			answers = append(answers, strings.TrimSpace(m.Get("MSA-1")+" "+m.Get("MSA-2")+" "+m.Get("ERR-8")))
		}
		return strings.Join(answers, ", ")
	}
}

func TestAPositiveAnswerMeansThatTheInboxHasIt(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	sink := &memory{}
	var log strings.Builder
	send := feed(t, &HL7{Source: "mercy", Sink: sink, Now: func() time.Time { return now }, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	long := strings.Repeat("é", 150)
	for _, c := range []struct {
		name, content, want string
		fails               error
	}{
		{"a message", adt("1", "MERCY"), "AA 1", nil},
		{"the same again", adt("1", "MERCY"), "AA 1", nil},
		{"its control id for another", adt("1", "OTHER"), "AA 1", nil},
		{"what is no message", "hello secret", "AR  the message does not begin with MSH", nil},
		{"when the inbox fails", adt("2", "MERCY"), "AE 2 the message could not be stored, please send it again", errors.New("disk full")},
		{"when it fails for no message", "hello again", "AE  the message could not be stored, please send it again", errors.New("disk full")},
		{"sent again behind that", adt("2", "MERCY"), "AA 2", nil},
		{"a fault of the inbox's that looks like the message's", adt("3", "MERCY"), "AE 3 the message could not be stored, please send it again", &hl7.FieldError{Segment: "PID", Reason: "secret"}},
		{"a control id without end", adt(long, "MERCY"), "AA " + long, nil},
	} {
		sink.mu.Lock()
		sink.fails = c.fails
		sink.mu.Unlock()
		if got := send(c.content); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	kept := func(id, body string) inbox.Message {
		return inbox.Message{Source: "mercy", Kind: inbox.HL7v2, ControlID: id, Peer: "127.0.0.1", Received: now, Body: []byte(body)}
	}
	want := []inbox.Message{
		kept("1", adt("1", "MERCY")), kept("1", adt("1", "OTHER")), kept("", "hello secret"), kept("2", adt("2", "MERCY")),
		kept(long[:198], adt(long, "MERCY")),
	}
	if diff := cmp.Diff(want, sink.kept); diff != "" {
		t.Error(diff)
	}
	for _, said := range []string{"feed=mercy", "cannot be read", "not kept", "used again"} {
		if !strings.Contains(log.String(), said) {
			t.Errorf("the log does not say %q", said)
		}
	}
	if strings.Contains(log.String(), "secret\r") || strings.Contains(log.String(), "hello") {
		t.Errorf("the log holds content: %s", log.String())
	}
}

func TestABatchIsKeptMessageByMessage(t *testing.T) {
	sink := &memory{}
	send := feed(t, &HL7{Source: "mercy", Sink: sink, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	if got := send(adt("1", "MERCY") + "\r\n" + adt("2", "MERCY")); got != "AA 1, AA 2" {
		t.Error(got)
	}
	if len(sink.kept) != 2 || string(sink.kept[0].Body) != adt("1", "MERCY") || string(sink.kept[1].Body) != adt("2", "MERCY") {
		t.Errorf("%v", sink.kept)
	}
}

func TestAFeedIsBoundToItsFacilities(t *testing.T) {
	sink := &memory{}
	send := feed(t, &HL7{Source: "mercy", Sink: sink, Now: time.Now, Facilities: []string{"MERCY", "MERCY2"}, Logger: slog.New(slog.DiscardHandler)})
	for content, want := range map[string]string{
		adt("1", "MERCY"):          "AA 1",
		adt("2", "MERCY2^1.2^ISO"): "AA 2",
		adt("3", "EVIL"):           "AR 3 " + errFacility,
		adt("4", ""):               "AR 4 " + errFacility,
		"hello":                    "AR  the message does not begin with MSH",
	} {
		if got := send(content); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, m := range sink.kept {
		if m.ControlID == "3" || m.ControlID == "4" {
			t.Errorf("%s is kept", m.ControlID)
		}
	}
	if len(sink.kept) != 3 {
		t.Errorf("%d are kept", len(sink.kept))
	}
}

// What is above a feed's rate waits for its answer and is kept all the same, whoever
// of its senders it comes from; who goes away meanwhile is not answered.
func TestAFeedIsTakenAtItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &memory{}
		h := &HL7{Source: "ward", Sink: sink, Limit: rate.NewLimiter(2, 2), Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
		began := time.Now()
		var senders sync.WaitGroup
		for sender := range 2 {
			senders.Go(func() {
				for n := range 5 {
					text := adt(fmt.Sprint(sender, n), "GENERAL")
					m, err := hl7.Parse([]byte(text))
					if err == nil {
						err = h.HandleHL7(t.Context(), &hl7.Request{Bytes: []byte(text), Message: m})
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		senders.Wait()
		if took := time.Since(began); took != 4*time.Second || len(sink.kept) != 10 {
			t.Errorf("%d messages were kept in %v", len(sink.kept), took)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := h.HandleHL7(gone, &hl7.Request{Bytes: []byte("MSH|^~\\&|")}); err == nil || len(sink.kept) != 10 {
			t.Errorf("who went away is answered: %v", err)
		}
	})
}

func TestPeersAreNamedForTheOperator(t *testing.T) {
	addr := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 4711}
	for want, p := range map[string]hl7.Peer{
		"10.0.0.7":     {Addr: addr},
		"lab 10.0.0.7": {Addr: addr, Certificate: &x509.Certificate{Subject: pkix.Name{CommonName: "lab"}}},
		"a.b 10.0.0.7": {Addr: addr, Certificate: &x509.Certificate{Subject: pkix.Name{CommonName: "lab"}, DNSNames: []string{"a.b"}}},
		"lab":          {Certificate: &x509.Certificate{Subject: pkix.Name{CommonName: "lab"}}},
		"":             {},
		"pipe":         {Addr: &net.UnixAddr{Name: "pipe"}},
	} {
		if got := peerName(p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
