package main

import (
	"context"
	"fmt"
	"iter"
	"os"
	"strings"
	"time"

	"firebreak/adapters/hl7"
)

// What every store holds besides its many patients: readers with enough
// results for a search of 50 hits, and one chart that is very long.
const (
	readers     = 50
	perReader   = 60
	longChart   = 10_000
	perMessage  = 20 // observations in one message of the long chart
	fillWorkers = 32
)

// day is when the bench's results begin; each is a day after the one before.
var day = time.Date(1996, 1, 1, 8, 0, 0, 0, time.UTC)

func header(kind, control string, at time.Time) string {
	return `MSH|^~\&|EHR|BENCH|FIREBREAK|GATEWAY|` + at.Format("20060102150405") + `+0000||` + kind + `|` + control + `|P|2.5.1|||AL|NE||UNICODE UTF-8` + "\r"
}

func pid(number string, n int) string {
	return fmt.Sprintf("PID|1||%s^^^BENCH^MR||Family%d^Given^^^^^L||19%02d0%d1%d|%s|||1 Street^^Town^BC^V5K 0A1^CAN\r", number, n%5000, 30+n%70, 1+n%9, n%10, "FM"[n%2:n%2+1])
}

// result is one message with n results of one order, a day apart, the last at at.
func result(control, number string, patient, order, n int, at time.Time) []byte {
	var b strings.Builder
	b.WriteString(header("ORU^R01^ORU_R01", control, at))
	b.WriteString(pid(number, patient))
	fmt.Fprintf(&b, "ORC|RE|%[1]s.%[2]d|%[1]s.%[2]dF\rOBR|1|%[1]s.%[2]d|%[1]s.%[2]dF|24321-2^Basic metabolic panel^LN|||%[3]s|||||||||D1^Moreau^Anne^^^Dr||||||%[3]s|||F\r", number, order, at.Format("200601021504")+"+0000")
	for i := range n {
		test := tests[(order+i)%len(tests)]
		if n == 1 {
			test = tests[0]
		}
		fmt.Fprintf(&b, "OBX|%d|NM|%s^LN|%d|%d.%d|mmol/L^mmol/L^UCUM|3.5-5.0||||F|||%s+0000\r", i+1, test, i+1, 3+i%3, (order+i)%10, at.Format("200601021504"))
	}
	return []byte(b.String())
}

// tests are 60 kinds of result, so that the long chart's grid is 60 rows.
var tests = func() (all []string) {
	all = append(all, "2823-3^Potassium")
	for i := range 59 {
		all = append(all, fmt.Sprintf("B%03d^Bench test %d", i, i))
	}
	return all
}()

func readerNumber(i int) string { return fmt.Sprintf("R%06d", i) }

// fill gives the messages of a store: one result for each of n patients, then
// the readers and the long chart.
func fill(n int) iter.Seq2[hl7.FilePart, error] {
	return func(yield func(hl7.FilePart, error) bool) {
		control := 0
		put := func(body []byte) bool {
			return yield(hl7.FilePart{Name: "fill", Part: hl7.Part{Kind: hl7.MessagePart, Bytes: body, Line: control}}, nil)
		}
		for i := range n {
			control++
			if !put(result(fmt.Sprintf("F%d", control), fmt.Sprintf("P%08d", i), i, 1, 1, day.AddDate(0, 0, i%9000))) {
				return
			}
		}
		for i := range readers {
			for k := range perReader {
				control++
				if !put(result(fmt.Sprintf("F%d", control), readerNumber(i), i, k, 1, day.AddDate(0, 0, k*7))) {
					return
				}
			}
		}
		for k := range longChart / perMessage {
			control++
			if !put(result(fmt.Sprintf("F%d", control), "LONG", 7, k, perMessage, day.AddDate(0, 0, k*20))) {
				return
			}
		}
	}
}

// send has the messages sent over MLLP and waits until all can be seen. It
// gives the rate from the first byte to that moment.
func (s *server) send(ctx context.Context, connections int, total int, messages iter.Seq2[hl7.FilePart, error]) (hl7.Result, float64, error) {
	begin := time.Now()
	shown := begin
	bulk := hl7.Bulk{Client: func() *hl7.Client { return &hl7.Client{Addr: s.info.MLLP} }, Connections: connections, Progress: func(c hl7.Counts) {
		if now := time.Now(); now.Sub(shown) > time.Second {
			shown = now
			fmt.Fprintf(os.Stderr, "\r  sent %d of %d, %.0f/s ", c.Done(), total, float64(c.Done())/now.Sub(begin).Seconds())
		}
	}}
	r, err := bulk.Send(ctx, messages)
	fmt.Fprint(os.Stderr, "\r")
	if err != nil {
		return r, 0, err
	}
	if r.AA != r.Read || r.Read == 0 {
		return r, 0, fmt.Errorf("of %d messages %d were accepted", r.Read, r.AA)
	}
	if err := s.settle(); err != nil {
		return r, 0, err
	}
	return r, float64(r.Read) / time.Since(begin).Seconds(), nil
}
