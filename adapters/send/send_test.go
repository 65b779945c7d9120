package send

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firebreak/adapters/hl7"
	"firebreak/inbox"
	"firebreak/record"
)

// Whatever fails on the way, and whenever the program ends: in the end the EHR
// has what each patient wrote, once, in the order of writing.
func TestEachLetterArrivesOnceAndInOrder(t *testing.T) {
	const patients, lives = 4, 5
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			within(t, func(h *house) {
				r := rand.New(rand.NewPCG(seed, 4))
				var lock sync.Mutex
				intn := func(n int) int { lock.Lock(); defer lock.Unlock(); return r.IntN(n) }
				h.ehr.fault = func() fault {
					if intn(3) > 0 {
						return none
					}
					return fault(intn(int(faults)))
				}
				want := h.lives(lives, patients, intn, h.feed)
				h.ehr.mu.Lock()
				h.ehr.fault = func() fault { return none }
				h.ehr.mu.Unlock()
				f := h.feed()
				h.run(f, 5*time.Minute, nil)
				if left := h.undone(); len(left) > 0 {
					t.Errorf("%d letters are left: %+v", len(left), left[0])
				}
				for p := range patients {
					if got := h.ehr.said(p); got != strings.Join(want[p], " ") {
						t.Errorf("of patient %d the EHR has %q, want %q", p, got, want[p])
					}
				}
				for _, secret := range []string{"N0", "N1", "Patient/", "w1"} {
					if strings.Contains(h.log.String(), secret) {
						t.Errorf("the log holds %q", secret)
					}
				}
			})
		})
	}
}

// What leaves is what was addressed, and nothing by which the record knows it.
func TestWhatAReceiverIsSent(t *testing.T) {
	within(t, func(h *house) {
		h.enter(http.MethodPut, "secret", `{"resourceType":"Communication","id":"secret","status":"completed","subject":{"reference":"Patient/p1"},"payload":[{"contentString":"not addressed"}]}`)
		h.enter(http.MethodPut, "c1", `{"resourceType":"Communication","id":"c1",
			"meta":{"lastUpdated":"2026-01-01T00:00:00Z","versionId":"7","tag":[{"system":"urn:firebreak:send","code":"ehr"}],"security":[{"code":"R"}]},
			"identifier":[{"system":"urn:portal","value":"17"}],
			"basedOn":[{"reference":"ServiceRequest/9","display":"an order"},{"reference":"ServiceRequest/10"}],"inResponseTo":[{"reference":"Communication/secret"}],
			"status":"completed","subject":{"reference":"Patient/p1","identifier":{"system":"urn:mrn","value":"N1"}},
			"sender":{"reference":"Patient/p1"},"recipient":[{"reference":"https://other.example.org/Practitioner/1"},{"reference":"#n"}],
			"contained":[{"resourceType":"Practitioner","id":"n"}],"payload":[{"contentString":"one"}]}`)
		h.run(h.feed(), time.Minute, nil)
		all, err := h.record.Outbox().Of(context.Background(), ref("Communication", "c1"))
		h.must(err)
		if len(all) != 1 || all[0].State != inbox.Sent || all[0].Answer != "Communication/1" {
			t.Fatalf("it is %+v", all)
		}
		got := strings.ReplaceAll(strings.Join(h.ehr.bodies, "\n"), h.ehr.kept[0].number, "NUMBER")
		want := `POST Communication identifier=urn%3Afirebreak%3Arequest%7CNUMBER
{"resourceType":"Communication","meta":{"security":[{"code":"R"}]},"identifier":[{"system":"urn:firebreak:request","value":"NUMBER"},{"system":"urn:portal","value":"17"}],` +
			`"basedOn":[{"display":"an order"}],` +
			`"status":"completed","subject":{"reference":"Patient/1","identifier":{"system":"urn:mrn","value":"N1"}},` +
			`"sender":{"reference":"Patient/1"},"recipient":[{"reference":"https://other.example.org/Practitioner/1"},{"reference":"#n"}],` +
			`"contained":[{"resourceType":"Practitioner","id":"n"}],"payload":[{"contentString":"one"}]}`
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		h.enter(http.MethodPut, "c1", message(1, "one, changed"))
		h.run(h.feed(), time.Minute, nil)
		if got := h.ehr.said(1); got != "one, changed" || !strings.HasPrefix(h.ehr.bodies[1], "PUT Communication identifier=") {
			t.Errorf("after a change it has %q by %s", got, h.ehr.bodies[1])
		}
	})
}

func TestARefusedLetterHoldsItsPatientOnly(t *testing.T) {
	within(t, func(h *house) {
		h.ehr.refuses = func(words string) int {
			if words == "bad" {
				return 422
			}
			return 0
		}
		h.says(1, "bad")
		h.says(1, "next")
		h.says(2, "fine")
		h.run(h.feed(), 5*time.Minute, nil)
		if h.ehr.said(1) != "" || h.ehr.said(2) != "fine" {
			t.Errorf("the EHR has %+v", h.ehr.kept)
		}
		left := h.undone()
		if len(left) != 2 || left[0].State != inbox.Refused || left[0].Reason != "the receiver answered with status 422 (invalid)" || left[0].Attempts != 1 {
			t.Fatalf("left are %+v", left)
		}
		h.ehr.refuses = func(string) int { return 0 }
		h.must(h.record.Outbox().Retry(context.Background(), left[0].ID))
		h.run(h.feed(), time.Minute, nil)
		if got := h.ehr.said(1); got != "bad next" {
			t.Errorf("then it has %q", got)
		}
	})
}

// One that the receiver stumbles over is tried again, and keeps nobody else.
func TestALetterThatFailsAloneWaitsAlone(t *testing.T) {
	within(t, func(h *house) {
		h.ehr.refuses = func(words string) int {
			if words == "poison" {
				return 500
			}
			return 0
		}
		h.says(1, "poison")
		h.says(2, "fine")
		h.run(h.feed(), 10*time.Minute, nil)
		left := h.undone()
		if h.ehr.said(2) != "fine" || len(left) != 1 || left[0].State != inbox.Waiting || left[0].Attempts < 4 || left[0].Attempts > 9 {
			t.Errorf("the EHR has %q, left are %+v", h.ehr.said(2), left)
		}
	})
}

func TestWaitsAsLongAsTold(t *testing.T) {
	within(t, func(h *house) {
		h.says(1, "one")
		faults := []fault{tooMany}
		h.ehr.fault = func() (f fault) {
			if len(faults) == 0 {
				return none
			}
			f, faults = faults[0], faults[1:]
			return f
		}
		h.run(h.feed(), 6*time.Second, nil)
		if h.ehr.said(1) != "" {
			t.Error("it did not wait")
		}
		faults = []fault{tooMany}
		h.run(h.feed(), 10*time.Second, nil)
		if h.ehr.said(1) != "one" {
			t.Error("it waited longer")
		}
	})
}

func TestDoubtfulPatientsAreForAPerson(t *testing.T) {
	within(t, func(h *house) {
		h.ehr.patients["N1"], h.ehr.patients["N2"] = nil, []string{"2", "22"}
		h.says(1, "unknown")
		h.says(2, "twice")
		h.run(h.feed(), time.Minute, nil)
		var reasons []string
		for _, s := range h.undone() {
			reasons = append(reasons, s.Reason)
		}
		if diff := cmp.Diff([]string{errUnknown.Reason, errTwice.Reason}, reasons); diff != "" || len(h.ehr.kept) > 0 {
			t.Error(diff, h.ehr.kept)
		}
	})
}

// A patient asks at our own pages for something of the EHR whose record it is;
// the EHR books it, and the answer is known by the request's number.
func TestARequestAndItsAnswer(t *testing.T) {
	within(t, func(h *house) {
		ctx, w := context.Background(), newWard()
		defer w.work.Wait()
		hear := func(m inbox.Message) {
			m.Received = time.Now()
			receipt, err := h.pipe.Put(ctx, m)
			h.must(err)
			h.must(h.pipe.Applied(ctx, receipt.ID))
		}
		chart := h.keys.Patient("ehr", "", "N1")
		hear(inbox.Message{Source: "ehr", Kind: inbox.HL7v2, Body: []byte("MSH|^~\\&|S|F|||20260301||ADT^A08|1|P|2.5.1\rEVN||20260301\rPID|1||N1^^^^MR||Roe\r")})
		ask := func(status string) {
			m, err := inbox.Request{Name: "wish 1", Chart: chart, To: "ehr", Resource: fmt.Appendf(nil, `{"resourceType":"Appointment","status":%q,"start":"2026-03-02T09:00:00Z","end":"2026-03-02T09:20:00Z","participant":[{"actor":{"reference":"Patient/%s","identifier":{"value":"N1"}},"status":"accepted"}]}`, status, chart)}.
				Message("r-"+status, "jane", time.Now())
			h.must(err)
			hear(m)
			h.run(h.feedTo(w), time.Minute, nil)
		}
		ask("proposed")
		wish := ref("Appointment", h.keys.ID(chart, inbox.Own, "Appointment", "wish 1"))
		sent := func() []record.Sending {
			all, err := h.record.Outbox().Of(ctx, wish)
			h.must(err)
			return all
		}
		if all := sent(); len(all) != 1 || all[0].State != inbox.Sent {
			t.Fatalf("it is %+v", all)
		}
		m, err := hl7.Parse([]byte(w.bytes[w.kept[0].number]))
		h.must(err)
		number := m.Segment("ARQ").Field(1).Component(1).String()
		hear(inbox.Message{Source: "ehr", Kind: inbox.HL7v2, Body: []byte("MSH|^~\\&|S|F|||20260301||SIU^S12|2|P|2.5.1\rSCH|" + number + "^FIREBREAK|F7|||||||||||||||||||||||Booked\rPID|1||N1^^^^MR||Roe\r")})
		if all := sent(); all[0].State != inbox.Answered || all[0].Became.Type != "Appointment" || all[0].Became == wish {
			t.Errorf("after the answer it is %+v", all)
		}
		ask("cancelled")
		if all := sent(); len(all) != 2 || all[1].State != inbox.Sent || !strings.Contains(w.bytes[w.kept[1].number], "|SRM^S04^") {
			t.Errorf("taken back it is %+v", all)
		}
	})
}
