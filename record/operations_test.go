package record_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"firebreak/access/accesstest"
	"firebreak/audit"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/record"
)

// intake applies nothing: a test says what messages become.
type intake struct{ *world }

func (i intake) Replay(ctx context.Context, ids ...inbox.ID) error {
	return i.Queue().Release(ctx, ids...)
}
func (intake) Applied(context.Context, inbox.ID) error { return nil }

func (intake) Trace(m inbox.Message) record.Trace {
	return record.Trace{Resources: []record.Traced{{Ref: fhir.Ref{Type: "Patient", ID: "p"}, Values: []record.TracedValue{{Element: "Patient.name.family", Text: "Ayan"}}}}}
}

func (intake) Try(m inbox.Message) ([]fhir.Ref, string) {
	if !strings.Contains(string(m.Body), "|9000") {
		return nil, "mapping: PID-3 in segment 2: no identifier"
	}
	return []fhir.Ref{{Type: "Patient", ID: "p"}}, ""
}

func (w *world) operations() *record.Operations { return w.reader.Operations(intake{w}) }

func shift(t testing.TB) record.Shift {
	return record.Shift{Operator: accesstest.Operator(t), Request: "r"}
}

// TestFeedStates: what came is counted once, by feed and hour, whichever node
// took it in; what waits and what is held are told apart.
func TestFeedStates(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		now := time.Now().UTC().Truncate(time.Hour)
		n := 0
		put := func(w *world, source string, at time.Time, times int) (last inbox.ID) {
			for range times {
				n++
				m := inbox.Message{Source: source, Kind: inbox.HL7v2, ControlID: fmt.Sprint(n), Received: at, Body: fmt.Append(nil, n)}
				for range 2 { // the same again is no other message
					r, err := w.Put(ctx, m)
					must(t, err)
					last = r.ID
				}
			}
			return last
		}
		put(w, "lab", now.Add(-30*time.Hour), 4)
		put(w, "lab", now.Add(-5*time.Hour), 3)
		held := put(w, "lab", now.Add(-2*time.Hour), 2)
		put(w, "ward", now, 1)
		put(w, inbox.Own, now, 1)
		must(t, w.Queue().Hold(ctx, held, "PID-3 in segment 2: no identifier"))
		other := w.another()
		put(other, "lab", now, 5)

		all, most, err := other.operations().Feeds(ctx, shift(t), now.Add(-3*time.Hour))
		must(t, err)
		var got []string
		for _, f := range all {
			sum := 0
			for _, n := range f.Course {
				sum += n
			}
			got = append(got, fmt.Sprintf("%s today %d lately %d day %d waiting %d held %d", f.Source, f.Today, f.Lately, sum, f.Waiting, f.Held))
		}
		want := "[firebreak today 0 lately 0 day 0 waiting 1 held 0 lab today 7 lately 5 day 10 waiting 13 held 1 ward today 1 lately 1 day 1 waiting 1 held 0]"
		if fmt.Sprint(got) != want || most {
			t.Errorf("got  %v\nwant %s", got, want)
		}
		if lab := all[1]; !lab.Oldest.Equal(now.Add(-30*time.Hour)) || !lab.Last.Equal(now) {
			t.Errorf("the oldest is of %v, the last of %v", lab.Oldest, lab.Last)
		}
		entries, _, err := other.log.Find(ctx, audit.About{Action: audit.Operate}, 10)
		must(t, err)
		if len(entries) != 1 || entries[0].Detail != "ops feeds" || entries[0].Role != "operator" {
			t.Errorf("audited %+v", entries)
		}
		if _, _, err := other.operations().Feeds(ctx, record.Shift{}, now); err == nil {
			t.Error("nobody sees feeds")
		}
	})
}

func v2(typ, control, pid string) []byte {
	return fmt.Appendf(nil, "MSH|^~\\&|L|A|||20260301||%s|%s|P|2.5\rPID|1||%s||Ayan\r", typ, control, pid)
}

// TestMessagesAreFound by whatever is asked, newest first, a page at a time.
func TestMessagesAreFound(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		put := func(source, typ, control, pid string, at time.Time) inbox.ID {
			r, err := w.Put(ctx, inbox.Message{Source: source, Kind: inbox.HL7v2, ControlID: control, Received: at, Body: v2(typ, control, pid)})
			must(t, err)
			return r.ID
		}
		a := put("lab", "ORU^R01", "a", "9000", noon)
		b := put("ward", "ADT^A08", "b", "", noon.Add(time.Hour))
		c := put("lab", "ADT^A01^ADT_A01", "a", "9001", noon.Add(26*time.Hour))
		must(t, w.Queue().Hold(ctx, b, "no identifier"))
		for name, row := range map[string]struct {
			q    record.Sought
			want []inbox.ID
		}{
			"all":       {record.Sought{}, []inbox.ID{c, b, a}},
			"a feed":    {record.Sought{Source: "lab"}, []inbox.ID{c, a}},
			"held":      {record.Sought{State: record.OnHold}, []inbox.ID{b}},
			"waiting":   {record.Sought{State: record.Pending}, []inbox.ID{c, a}},
			"control":   {record.Sought{Control: "a"}, []inbox.ID{c, a}},
			"type":      {record.Sought{Type: "adt"}, []inbox.ID{c, b}},
			"event":     {record.Sought{Type: "ADT^A01"}, []inbox.ID{c}},
			"text":      {record.Sought{Text: "9001"}, []inbox.ID{c}},
			"a day":     {record.Sought{From: noon, Until: noon.Add(2 * time.Hour)}, []inbox.ID{b, a}},
			"later":     {record.Sought{From: noon.Add(2 * time.Hour)}, []inbox.ID{c}},
			"below":     {record.Sought{Below: b}, []inbox.ID{a}},
			"of no one": {record.Sought{Text: "AYAN\x00"}, nil},
		} {
			found, err := w.operations().Messages(ctx, shift(t), row.q)
			must(t, err)
			var got []inbox.ID
			for _, l := range found.Lines {
				got = append(got, l.ID)
			}
			if !slices.Equal(got, row.want) || found.Below != 0 {
				t.Errorf("%s: %v, want %v; below %d", name, got, row.want, found.Below)
			}
		}
		for i := range 60 {
			put("lab", "ORU^R01", fmt.Sprint("n", i), "9002", noon)
		}
		first, err := w.operations().Messages(ctx, shift(t), record.Sought{})
		must(t, err)
		rest, err := w.operations().Messages(ctx, shift(t), record.Sought{Below: first.Below})
		must(t, err)
		if len(first.Lines) != 50 || len(rest.Lines) != 13 || rest.Below != 0 {
			t.Errorf("pages of %d and %d", len(first.Lines), len(rest.Lines))
		}
		entries, _, err := w.log.Find(ctx, audit.About{Action: audit.Operate}, 100)
		must(t, err)
		for _, e := range entries {
			if strings.Contains(e.Detail, "900") {
				t.Errorf("the log holds what was looked for: %q", e.Detail)
			}
		}
	})
}

// TestHeldMessageIsMended: masked until a reason is said, replayed, corrected by a
// copy that stands for it; the original stays and is not applied again.
func TestHeldMessageIsMended(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ops, me := w.operations(), shift(t)
		r, err := w.Put(ctx, inbox.Message{Source: "lab", Kind: inbox.HL7v2, ControlID: "a", Received: noon, Body: v2("ADT^A08", "a", "")})
		must(t, err)
		hold := func() { must(t, w.Queue().Hold(ctx, r.ID, "no identifier")) }
		hold()
		alike, err := ops.Alike(ctx, me)
		must(t, err)
		if fmt.Sprint(alike) != "[{lab no identifier 1}]" {
			t.Errorf("alike %v", alike)
		}
		seen, err := ops.Message(ctx, me, r.ID, "")
		must(t, err)
		if seen.Clear || strings.Contains(fmt.Sprint(seen.Text, seen.Trace), "Ayan") || seen.State != record.OnHold || seen.Reason != "no identifier" || seen.Type != "ADT^A08" {
			t.Errorf("masked %+v", seen)
		}
		if seen, err = ops.Message(ctx, me, r.ID, "fault"); err != nil || !strings.Contains(seen.Text, "Ayan") || seen.Trace.Resources[0].Values[0].Text != "Ayan" {
			t.Errorf("in clear %+v, %v", seen, err)
		}
		for _, why := range []record.Why{"curious"} {
			if _, err := ops.Message(ctx, me, r.ID, why); status(err) != 404 {
				t.Errorf("for %s: %v", why, err)
			}
		}
		for _, q := range []record.Sought{{Source: "adt"}, {Reason: "another"}, {Until: noon}, {State: record.Pending, Type: "ORU"}} {
			if n, err := ops.ReplayFound(ctx, me, q); n != 0 || err != nil {
				t.Errorf("%+v: replayed %d, %v", q, n, err)
			}
		}
		if n, err := ops.ReplayFound(ctx, me, record.Sought{Source: "lab", From: noon, Reason: "no identifier"}); n != 1 || err != nil {
			t.Errorf("replayed %d, %v", n, err)
		}
		if state, _, _ := w.State(ctx, r.ID); state != record.Pending {
			t.Errorf("replayed, it is %s", state)
		}
		if _, err := ops.Mend(ctx, me, r.ID, v2("ADT^A08", "a", "9000")); status(err) != 404 {
			t.Errorf("what is not held is mended: %v", err)
		}
		hold()
		for name, body := range map[string][]byte{"unfit": v2("ADT^A08", "a", "8000"), "the same": v2("ADT^A08", "a", "")} {
			if _, err := ops.Mend(ctx, me, r.ID, body); err == nil || status(err) != 0 {
				t.Errorf("%s: %v", name, err)
			}
		}
		stats, err := w.Stats(ctx)
		must(t, err)
		if stats.Last != r.ID || stats.Held != 1 {
			t.Errorf("a refused copy left %+v", stats)
		}
		id, err := ops.Mend(ctx, me, r.ID, v2("ADT^A08", "a", "9000"))
		must(t, err)
		if seen, err = ops.Message(ctx, me, r.ID, ""); err != nil || seen.State != record.Mended || seen.Copy != id {
			t.Errorf("the original is %+v, %v", seen, err)
		}
		if seen, err = ops.Message(ctx, me, id, ""); err != nil || seen.Original != r.ID || seen.State != record.Pending || !strings.HasPrefix(seen.Peer, "operator ") {
			t.Errorf("the copy is %+v, %v", seen, err)
		}
		if err := ops.Replay(ctx, me, r.ID); status(err) != 404 {
			t.Errorf("the original is replayed: %v", err)
		}
		must(t, w.Queue().Release(ctx, r.ID))
		if state, _, _ := w.State(ctx, r.ID); state != record.Done {
			t.Errorf("the original is %s once more", state)
		}
		before := w.log.Head().N
		for _, f := range []func(record.Shift) error{
			func(s record.Shift) error { _, err := ops.Message(ctx, s, id, ""); return err },
			func(s record.Shift) error { _, err := ops.Messages(ctx, s, record.Sought{}); return err },
			func(s record.Shift) error { _, err := ops.Alike(ctx, s); return err },
			func(s record.Shift) error { return ops.Replay(ctx, s, id) },
		} {
			if f(record.Shift{}) == nil {
				t.Error("nobody operates")
			}
			must(t, f(me))
		}
		if n := w.log.Head().N - before; n != 4 {
			t.Errorf("%d entries for 4 acts", n)
		}
	})
}

// TestMessageIsSetAside: what can never be applied is no longer held, and found; no
// replay applies it; taken back, it is as it was. Only what is held is set aside, all
// that is named or none, for a reason, by an operator, and it is written down.
func TestMessageIsSetAside(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		ops, me, in := w.operations(), shift(t), intake{w}
		var ids []inbox.ID
		for n := range 3 {
			r, err := w.Put(ctx, inbox.Message{Source: "lab", Kind: inbox.HL7v2, ControlID: fmt.Sprint(n), Received: noon, Body: v2("ADT^A08", "a", "")})
			must(t, err)
			ids = append(ids, r.ID)
		}
		for _, id := range ids[:2] {
			must(t, w.Queue().Hold(ctx, id, "no identifier"))
		}
		is := func(when string, id inbox.ID, want record.State, held int64) {
			t.Helper()
			state, reason, err := w.State(ctx, id)
			must(t, err)
			stats, err := w.Stats(ctx)
			must(t, err)
			seen, err := ops.Message(ctx, me, id, "")
			must(t, err)
			if state != want || seen.State != want || stats.Held != held || want != record.Pending && (reason != "no identifier" || seen.Reason != reason) {
				t.Errorf("%s: %s, on the page %s, for %q; %d are held", when, state, seen.State, reason, stats.Held)
			}
		}
		if err := w.SetAside(ctx, in, "lee", "a test", ids...); !errors.Is(err, record.ErrUnknown) {
			t.Errorf("one that is not held is set aside: %v", err)
		}
		if err := w.SetAside(ctx, in, "lee", " ", ids[0]); err == nil {
			t.Error("set aside for no reason")
		}
		is("after two refusals", ids[0], record.OnHold, 2)
		must(t, ops.SetAside(ctx, me, ids[0], "a test message"))
		is("set aside", ids[0], record.SetAside, 1)
		must(t, w.Queue().Release(ctx, ids[0]))
		is("released", ids[0], record.SetAside, 1)
		if err := ops.Replay(ctx, me, ids[0]); status(err) != 404 {
			t.Errorf("it is replayed: %v", err)
		}
		if err := ops.SetAside(ctx, me, ids[0], "again"); status(err) != 404 {
			t.Errorf("set aside twice: %v", err)
		}
		found, err := ops.Messages(ctx, me, record.Sought{State: record.SetAside})
		must(t, err)
		if len(found.Lines) != 1 || found.Lines[0].ID != ids[0] || found.Lines[0].Aside.Reason != "a test message" {
			t.Errorf("found %+v", found.Lines)
		}
		all, err := w.AllAside(ctx, 0, 10)
		must(t, err)
		if len(all) != 1 || all[0].Reason != "no identifier" || all[0].Aside != "a test message" {
			t.Errorf("listed %+v", all)
		}
		if err := w.TakeBack(ctx, ids[0], ids[1]); !errors.Is(err, record.ErrUnknown) {
			t.Errorf("one that is not set aside is taken back: %v", err)
		}
		is("after a refusal", ids[0], record.SetAside, 1)
		must(t, ops.TakeBack(ctx, me, ids[0]))
		is("taken back", ids[0], record.OnHold, 2)
		if err := ops.TakeBack(ctx, me, ids[0]); status(err) != 404 {
			t.Errorf("taken back twice: %v", err)
		}
		if ops.SetAside(ctx, record.Shift{}, ids[0], "x") == nil || ops.TakeBack(ctx, record.Shift{}, ids[0]) == nil {
			t.Error("nobody operates")
		}
		entries, _, err := w.log.Find(ctx, audit.About{Action: audit.Operate}, 100)
		must(t, err)
		if !slices.ContainsFunc(entries, func(e audit.Entry) bool { return strings.HasSuffix(e.Detail, "set aside: a test message") }) {
			t.Error("it is not written down")
		}
	})
}

// TestMessagesOfAPatientAreFound by a number of theirs, whoever was said to have it
// and however far back, with what waits or is held and holds it; and nobody else's.
func TestMessagesOfAPatientAreFound(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		told := func(id, number string) inbox.ID {
			m := w.put(said{}) // its text does not hold the number
			must(t, w.commit(m, said{Resources: []fhir.Resource{patient(t, id, "Ash", "1980-01-02", number)}}))
			return m.ID
		}
		first := told("a", "900-7")
		told("b", "9008")
		var last inbox.ID
		for range 230 {
			last = told("b", "9008")
		}
		again := told("a", "900-7")
		r, err := w.Put(ctx, inbox.Message{Source: "lab", Kind: inbox.HL7v2, ControlID: "h", Received: noon, Body: v2("ADT^A08", "h", "900-7")})
		must(t, err)
		must(t, w.Queue().Hold(ctx, r.ID, "no identifier"))
		find := func(q record.Sought) (ids []inbox.ID, below inbox.ID) {
			t.Helper()
			found, err := w.operations().Messages(ctx, shift(t), q)
			must(t, err)
			for _, l := range found.Lines {
				ids = append(ids, l.ID)
			}
			return ids, found.Below
		}
		for name, row := range map[string]struct {
			q    record.Sought
			want []inbox.ID
		}{
			"all":             {record.Sought{Patient: "900-7"}, []inbox.ID{r.ID, again, first}},
			"without dashes":  {record.Sought{Patient: "9007"}, []inbox.ID{again, first}},
			"held":            {record.Sought{Patient: "900-7", State: record.OnHold}, []inbox.ID{r.ID}},
			"of a feed":       {record.Sought{Patient: "900-7", Source: "lab"}, []inbox.ID{r.ID}},
			"control id":      {record.Sought{Patient: "900-7", Control: "h"}, []inbox.ID{r.ID}},
			"words":           {record.Sought{Patient: "900-7", Text: "message"}, []inbox.ID{again, first}},
			"below":           {record.Sought{Patient: "900-7", Below: again}, []inbox.ID{first}},
			"nobody's number": {record.Sought{Patient: "9009"}, nil},
		} {
			if got, below := find(row.q); !slices.Equal(got, row.want) || below != 0 {
				t.Errorf("%s: %v, want %v; below %d", name, got, row.want, below)
			}
		}
		n, q := 0, record.Sought{Patient: "9008"}
		for {
			ids, below := find(q)
			if n += len(ids); n == len(ids) && ids[0] != last {
				t.Errorf("the newest is %d, not %d", ids[0], last)
			}
			if q.Below = below; below == 0 {
				break
			}
		}
		if n != 231 {
			t.Errorf("%d messages of who has many", n)
		}
	})
}
