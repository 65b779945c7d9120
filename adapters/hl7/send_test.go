package hl7

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"firebreak/internal/corpus"
)

// of gives messages as Files would.
func of(messages ...string) iter.Seq2[FilePart, error] {
	all := make([][]byte, len(messages))
	for i, m := range messages {
		all[i] = []byte(m)
	}
	return Messages("test", all...)
}

func about(patient, id string) string {
	return "MSH|^~\\&|LAB|MERCY|GW|CITY|20260101||ADT^A08|" + id + "|P|2.5.1\nPID|1||" + patient + "\n"
}

func TestBulkCountsWhatBecameOfEachMessage(t *testing.T) {
	s := &Server{Handler: HandlerFunc(func(_ context.Context, r *Request) error {
		switch id := r.Message.ControlID(); id[0] {
		case 'e':
			return fmt.Errorf("x: %w", r.Message.Segment("PID").Field(3).Err("secret"))
		case 'r':
			return &Rejection{errors.New("secret")}
		}
		return nil
	})}
	addr := serveTCP(t, s)
	var messages []string
	for i := range 30 {
		messages = append(messages, about(fmt.Sprint(i%7), fmt.Sprintf("a%d", i)))
	}
	enhanced := strings.Replace(about("1", "a"), "2.5.1", "2.5.1|||AL|", 1)
	unasked := strings.Replace(about("1", "a"), "2.5.1", "2.5.1|||NE|NE", 1)
	old := strings.Replace(about("2", "e-old"), "2.5.1", "2.3", 1)
	messages = append(messages, about("1", "e"), old, about("3", "r"), enhanced, unasked, "MSH|^^|")
	var last Counts
	b := &Bulk{Client: func() *Client { return &Client{Addr: addr} }, Connections: 4, Progress: func(c Counts) {
		if c.Done() != last.Done()+1 {
			t.Errorf("progress went from %d to %d", last.Done(), c.Done())
		}
		last = c
	}}
	r, err := b.Send(t.Context(), of(messages...))
	if want := (Counts{Read: 36, AA: 31, AE: 2, AR: 1, Unasked: 1, Unreadable: 1}); err != nil || r.Counts != want || last != want {
		t.Errorf("%+v, %v; want %+v", r.Counts, err, want)
	}
	if len(r.latencies) != 34 || r.Percentile(50) <= 0 || r.Percentile(99) < r.Percentile(50) || r.Percentile(100) != r.latencies[33] || r.Rate() <= 0 {
		t.Errorf("%d answers, p50 %v, p99 %v, %f a second", len(r.latencies), r.Percentile(50), r.Percentile(99), r.Rate())
	}
	var faults []string
	for _, f := range r.Faults {
		faults = append(faults, f.String())
	}
	slices.Sort(faults)
	want := []string{
		"test:31: AE hl7: PID-3: Data type error", "test:32: AE hl7: PID-3: Data type error", "test:33: AR hl7: MSH: Application internal error",
		"test:36:  hl7: MSH-1 in segment 1: an encoding character is declared twice",
	}
	if !slices.Equal(faults, want) {
		t.Errorf("%q", faults)
	}
	if (Result{}).Rate() != 0 || (Result{}).Percentile(50) != 0 {
		t.Error("nothing sent has a rate")
	}
}

func TestBulkKeepsThePatientsOrder(t *testing.T) {
	var mu sync.Mutex
	order := map[string][]string{} // by patient: what began, and the same again when it was answered
	s := &Server{Handler: HandlerFunc(func(_ context.Context, r *Request) error {
		patients := []string{r.Message.Get("PID-3")}
		if mrg := r.Message.Get("MRG-1"); mrg != "" && mrg != patients[0] {
			patients = append(patients, mrg)
		}
		for range 2 {
			mu.Lock()
			for _, p := range patients {
				order[p] = append(order[p], r.Message.ControlID())
			}
			mu.Unlock()
			runtime.Gosched()
		}
		return nil
	})}
	addr := serveTCP(t, s)
	var messages []string
	want := map[string][]string{}
	for i := range 400 {
		patient, id := fmt.Sprint(i*7%23), fmt.Sprint(i)
		m := about(patient+"^^^MR~9", id)
		if i%20 == 19 { // a merge stands where it stood, for both of its patients
			other := fmt.Sprint(i % 3)
			m += "MRG|" + other + "\n"
			if other != patient {
				want[other] = append(want[other], id, id)
			}
		}
		want[patient] = append(want[patient], id, id)
		messages = append(messages, m)
	}
	b := &Bulk{Client: func() *Client { return &Client{Addr: addr} }, Connections: 8}
	if r, err := b.Send(t.Context(), of(messages...)); err != nil || r.AA != 400 {
		t.Fatalf("%+v, %v", r.Counts, err)
	}
	for patient, ids := range want {
		if !slices.Equal(order[patient], ids) {
			t.Errorf("patient %s: %v, want %v", patient, order[patient], ids)
		}
	}
}

func TestBulkTriesAgainAndThenCountsAsUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		silent := func(string, func(string)) {}
		good := func(id string, write func(string)) { write(ackFrame(AA, id)) }
		play(t, n, silent, good)
		b := &Bulk{Client: func() *Client { return &Client{Dial: n.Dial, AckTimeout: time.Second} }}
		start := time.Now()
		r, err := b.Send(t.Context(), of(about("1", "1")))
		if err != nil || r.AA != 1 || time.Since(start) != time.Second+200*time.Millisecond {
			t.Errorf("%+v, %v after %v", r.Counts, err, time.Since(start))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		silent := func(string, func(string)) {}
		play(t, n, silent, silent, silent, func(id string, write func(string)) { write(ackFrame(AA, id)) })
		b := &Bulk{Client: func() *Client { return &Client{Dial: n.Dial} }}
		start := time.Now()
		r, err := b.Send(t.Context(), of(about("1", "1"), about("1", "2")))
		if err != nil || r.Unanswered != 1 || r.AA != 1 || time.Since(start) != 90*time.Second+600*time.Millisecond {
			t.Errorf("%+v, %v after %v", r.Counts, err, time.Since(start))
		}
		if len(r.Faults) != 1 || r.Faults[0].Line != 1 || r.Faults[0].Code != "" {
			t.Errorf("%v", r.Faults)
		}
	})
}

func TestBulkStopsWhenNobodyIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newPipeNet()
		n.Close()
		b := &Bulk{Client: func() *Client { return &Client{Addr: "nowhere:1", Dial: n.Dial} }, Connections: 3}
		var many []string
		for i := range 1000 {
			many = append(many, about(fmt.Sprint(i), fmt.Sprint(i)))
		}
		r, err := b.Send(t.Context(), of(many...))
		if err == nil || !strings.Contains(err.Error(), "connecting to nowhere:1") || r.AA != 0 || r.Read == 1000 {
			t.Errorf("%+v, %v", r.Counts, err)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := &Bulk{Client: func() *Client { return &Client{} }}
	if r, err := b.Send(ctx, of(about("1", "1"))); !errors.Is(err, context.Canceled) || r.Done() != 0 {
		t.Errorf("%+v, %v", r.Counts, err)
	}
}

func TestBulkSendsFiles(t *testing.T) {
	var got bytes.Buffer
	s := &Server{Handler: HandlerFunc(func(_ context.Context, r *Request) error {
		got.Write(r.Bytes)
		return nil
	})}
	addr := serveTCP(t, s)
	dir := t.TempDir()
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	fmt.Fprint(z, "FHS|^~\\&\r\nBHS|^~\\&\r\n"+about("1", "2")+"\r\n"+about("1", "3")+"BTS|2\r\nFTS|1\r\n")
	z.Close()
	files := map[string][]byte{"a.hl7": []byte(bom + about("1", "1")), "b.hl7.gz": zipped.Bytes()}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := &Bulk{Client: func() *Client { return &Client{Addr: addr} }}
	r, err := b.Send(t.Context(), Files(filepath.Join(dir, "a.hl7"), filepath.Join(dir, "none"), filepath.Join(dir, "b.hl7.gz")))
	if want := (Counts{Read: 4, AA: 3, Unreadable: 1}); err != nil || r.Counts != want {
		t.Errorf("%+v, %v; want %+v", r.Counts, err, want)
	}
	want := strings.ReplaceAll(about("1", "1")+about("1", "2")+about("1", "3"), "\n", "\r")
	if got.String() != want {
		t.Errorf("%q, want %q", got.String(), want)
	}
}

func TestTheCorpusCrossesTheWireWhole(t *testing.T) {
	arrived := make(chan string, 3414) // a message that wants no answer arrives when it may
	s := &Server{Handler: HandlerFunc(func(_ context.Context, r *Request) error {
		arrived <- string(r.Bytes)
		return nil
	})}
	addr := serveTCP(t, s)
	want := map[string]int{}
	for part, err := range Files(corpus.HL7(t)...) {
		if err != nil {
			t.Fatal(err)
		}
		if part.Kind == MessagePart {
			want[string(parse(t, string(part.Message())).Wire())]++
		}
	}
	b := &Bulk{Client: func() *Client { return &Client{Addr: addr} }, Connections: 4}
	r, err := b.Send(t.Context(), Files(corpus.HL7(t)...))
	if err != nil || r.Read != 3414 || r.AA+r.Unasked != 3414 {
		t.Errorf("%+v, %v", r.Counts, err)
	}
	got := map[string]int{}
	for range 3414 {
		got[<-arrived]++
	}
	if len(got) != len(want) {
		t.Errorf("%d different messages arrived, %d were sent", len(got), len(want))
	}
	for m, n := range want {
		if got[m] != n {
			t.Errorf("a message of %d bytes arrived %d times instead of %d", len(m), got[m], n)
		}
	}
}
