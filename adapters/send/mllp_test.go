package send

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"firebreak/adapters/hl7"
	"firebreak/inbox"
	"firebreak/mapping/out"
)

// ward is an EHR that takes HL7 v2. It keeps what it takes once by its control
// id, as receivers do that look for duplicates.
type ward struct {
	mu      sync.Mutex
	fault   func() wardFault
	refuses string // words
	kept    []kept // number is the control id
	bytes   map[string]string
	other   int // times that the same control id came with another message
	work    sync.WaitGroup
}

type wardFault int

const (
	well     wardFault = iota
	breaks             // before it has read
	forgets            // it has kept the message, and breaks
	silent             // it has kept it, and never answers
	busy               // AE, its own fault
	confused           // an answer to another message comes first
	away               // nobody is there
	wardFaults
)

func (w *ward) dial(context.Context, string, string) (net.Conn, error) {
	w.mu.Lock()
	f := w.fault()
	w.mu.Unlock()
	if f == away {
		return nil, errReset
	}
	here, there := net.Pipe()
	w.work.Go(func() { w.serve(there) })
	return here, nil
}

func (w *ward) serve(c net.Conn) {
	defer c.Close()
	frames := hl7.NewFrameReader(c, 0)
	for {
		b, err := frames.Next()
		if err != nil {
			return
		}
		m, err := hl7.Parse(b)
		if err != nil {
			return
		}
		w.mu.Lock()
		f := w.fault()
		ack := hl7.Ack{Code: hl7.AA, ID: "1", At: time.Now()}
		words := m.Segment("OBX").Field(5).Text()
		switch {
		case f == breaks:
		case f == busy:
			ack.Code, ack.Err = hl7.AE, &hl7.FieldError{Segment: "MSH", Code: hl7.Internal, Reason: "try again"}
		case words == w.refuses:
			ack.Code, ack.Err = hl7.AE, &hl7.FieldError{Segment: "PID", Occurrence: 1, Field: 3, Code: hl7.UnknownKey, Reason: "N1 is unknown"}
		default:
			if before, ok := w.bytes[m.ControlID()]; !ok {
				w.kept = append(w.kept, kept{strings.TrimPrefix(m.Segment("PID").Field(3).Component(1).String(), "N"), m.ControlID(), words})
				w.bytes[m.ControlID()] = string(b)
			} else if before != string(b) {
				w.other++
			}
		}
		w.mu.Unlock()
		switch f {
		case breaks, forgets:
			return
		case silent:
			_, _ = frames.Next() // until it is given up
			return
		case confused:
			stray := strings.Replace(string(m.Ack(ack)), m.ControlID(), "another", 1)
			if hl7.WriteFrame(c, []byte(stray)) != nil {
				return
			}
		}
		if hl7.WriteFrame(c, m.Ack(ack)) != nil {
			return
		}
	}
}

func newWard() *ward {
	return &ward{fault: func() wardFault { return well }, bytes: map[string]string{}, refuses: "nothing"}
}

// feedTo is a feed that sends HL7 v2.
func (h *house) feedTo(w *ward) *Feed {
	return &Feed{
		To: "ehr", Store: h.record.Outbox(), Now: time.Now, Logger: slog.New(slog.NewTextHandler(&h.log, nil)),
		Receiver: &MLLP{Client: &hl7.Client{Addr: "ward", Dial: w.dial}, Make: out.HL7v2{Source: "ehr"}},
	}
}

func (w *ward) said(patient int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, k := range w.kept {
		if k.patient == fmt.Sprint(patient) {
			all = append(all, k.words)
		}
	}
	return strings.Join(all, " ")
}

// As by FHIR: whatever fails, each message is there once, in order, and the same
// bytes come under the same control id.
func TestEachMessageArrivesOnceAndInOrder(t *testing.T) {
	const patients = 4
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			within(t, func(h *house) {
				w := newWard()
				defer w.work.Wait()
				r := rand.New(rand.NewPCG(seed, 5))
				var lock sync.Mutex
				intn := func(n int) int { lock.Lock(); defer lock.Unlock(); return r.IntN(n) }
				w.fault = func() wardFault {
					if intn(3) > 0 {
						return well
					}
					return wardFault(intn(int(wardFaults)))
				}
				want := h.lives(4, patients, intn, func() *Feed { return h.feedTo(w) })
				w.mu.Lock()
				w.fault = func() wardFault { return well }
				w.mu.Unlock()
				h.run(h.feedTo(w), 5*time.Minute, nil)
				if left := h.undone(); len(left) > 0 || w.other > 0 {
					t.Errorf("%d letters are left, %d were other than before", len(left), w.other)
				}
				for p := range patients {
					if got := w.said(p); got != strings.Join(want[p], " ") {
						t.Errorf("of patient %d the ward has %q, want %q", p, got, want[p])
					}
				}
			})
		})
	}
}

func TestANegativeAnswerIsForAPerson(t *testing.T) {
	within(t, func(h *house) {
		w := newWard()
		defer w.work.Wait()
		w.refuses = "bad"
		h.says(1, "bad")
		h.says(1, "next")
		h.says(2, "fine")
		h.run(h.feedTo(w), time.Minute, nil)
		left := h.undone()
		if len(left) != 2 || left[0].State != inbox.Refused || left[0].Reason != "the receiver answered AE: hl7: PID-3: Unknown key identifier" || w.said(2) != "fine" {
			t.Errorf("left are %+v, the ward has %+v", left, w.kept)
		}
		if strings.Contains(h.log.String(), "N1") {
			t.Error("the log holds what the receiver wrote")
		}
	})
}
