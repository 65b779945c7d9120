package viewer

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"firebreak/access"
	"firebreak/access/accesstest"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/record"
	"firebreak/registry"
)

// fakeOps runs feeds that a test sets.
type fakeOps struct {
	feeds   []record.FeedState
	message record.Seen
	shifts  []record.Shift
	sought  []record.Sought
	did     []string
	pairs   []record.Pair
	posts   []record.Post
}

func (o *fakeOps) Letters(_ context.Context, s record.Shift, q record.Mail) (record.Posts, error) {
	o.shifts, o.did = append(o.shifts, s), append(o.did, fmt.Sprint("letters ", q))
	return record.Posts{All: o.posts, Past: 17, Back: noon}, nil
}

func (o *fakeOps) Letter(_ context.Context, s record.Shift, id int64, why record.Why) (record.SeenLetter, error) {
	if id != o.posts[0].ID {
		return record.SeenLetter{}, fhir.NotFound()
	}
	seen := record.SeenLetter{Post: o.posts[0], Text: `{"family":"Ayan"}`, Clear: why != ""}
	if why == "" {
		seen.Text = inbox.Mask(seen.Text)
	}
	return seen, nil
}

func (o *fakeOps) Retry(_ context.Context, s record.Shift, id int64, reason string) error {
	o.did = append(o.did, fmt.Sprint("retry ", id, ": ", reason))
	return nil
}

func (o *fakeOps) Drop(_ context.Context, s record.Shift, id int64, reason string) error {
	o.did = append(o.did, fmt.Sprint("drop ", id, ": ", reason))
	return nil
}

func (o *fakeOps) RetryRefused(_ context.Context, s record.Shift, feed, reason string) (int, error) {
	o.did = append(o.did, fmt.Sprint("retry all of ", feed, ": ", reason))
	return 2, nil
}

func (o *fakeOps) Feeds(_ context.Context, s record.Shift, midnight time.Time) ([]record.FeedState, bool, error) {
	o.shifts = append(o.shifts, s)
	return o.feeds, false, nil
}

func (o *fakeOps) Messages(_ context.Context, s record.Shift, q record.Sought) (record.Found, error) {
	o.shifts, o.sought = append(o.shifts, s), append(o.sought, q)
	return record.Found{Lines: []record.Line{o.message.Line}, Below: 7, Back: noon}, nil
}

func (o *fakeOps) Alike(_ context.Context, s record.Shift) ([]record.Alike, error) {
	o.shifts = append(o.shifts, s)
	return []record.Alike{{Source: "lab-a", Reason: o.message.Reason, N: 14}}, nil
}

func (o *fakeOps) Message(_ context.Context, s record.Shift, id inbox.ID, why record.Why) (record.Seen, error) {
	o.shifts = append(o.shifts, s)
	if id != o.message.ID {
		return record.Seen{}, fhir.NotFound()
	}
	m := o.message
	if m.Clear = why != ""; !m.Clear {
		m.Text = inbox.Message{Kind: m.Kind, Body: []byte(m.Text)}.Masked()
	}
	return m, nil
}

func (o *fakeOps) Replay(_ context.Context, s record.Shift, id inbox.ID) error {
	o.did = append(o.did, fmt.Sprint("replay ", id))
	return nil
}

func (o *fakeOps) Pairs(_ context.Context, s record.Shift, why record.Why) (open, past []record.Pair, err error) {
	o.shifts = append(o.shifts, s)
	for _, p := range o.pairs {
		if why == "" {
			p.Of[0].Name, p.Of[1].Name = "xxxx", "xxxx"
		}
		if p.Decided == "" {
			open = append(open, p)
		} else {
			past = append(past, p)
		}
	}
	return open, past, nil
}

func (o *fakeOps) Judge(_ context.Context, s record.Shift, a, b string, j record.Judgement) error {
	o.did = append(o.did, fmt.Sprint(a, " ", b, " ", j))
	return nil
}

func (o *fakeOps) Vouch(_ context.Context, s record.Shift, id inbox.ID) error {
	o.did = append(o.did, fmt.Sprint("same ", id))
	return nil
}

func (o *fakeOps) SetAside(_ context.Context, s record.Shift, id inbox.ID, reason string) error {
	o.did = append(o.did, fmt.Sprint("aside ", id, ": ", reason))
	return nil
}

func (o *fakeOps) TakeBack(_ context.Context, s record.Shift, id inbox.ID) error {
	o.did = append(o.did, fmt.Sprint("back ", id))
	return nil
}

func (o *fakeOps) ReplayFound(_ context.Context, s record.Shift, q record.Sought) (int, error) {
	o.did = append(o.did, fmt.Sprint("replay ", q.Source, ": ", q.Reason, q.From.Format(" 2006-01-02")))
	return 14, nil
}

func (o *fakeOps) Pause(_ context.Context, s record.Shift, source string, pause bool) error {
	o.did = append(o.did, fmt.Sprint("pause ", source, " ", pause))
	return nil
}

func (o *fakeOps) Mend(_ context.Context, s record.Shift, id inbox.ID, body []byte) (inbox.ID, error) {
	if !strings.Contains(string(body), "9000^^^X") {
		return 0, &record.Unfit{Reason: "mapping: PID-3 in segment 2: still none"}
	}
	o.did = append(o.did, fmt.Sprintf("mend %d %q", id, body))
	return 12, nil
}

// operator makes the house's reader an operator.
func (h *house) operator() {
	h.session.Identity = accesstest.SignedIn(h.t, "lee")
	h.places = []registry.Place{place("oak", "Oak Street Clinic", access.SystemOperator, "")}
}

// The operator's pages open to operators alone, who open no chart and oversee
// nothing.
func TestOperatorsComeInAlone(t *testing.T) {
	h := newHouse(t, ayan(t))
	base := h.base(0)
	refused := func(who string, paths ...string) {
		t.Helper()
		for _, path := range paths {
			if w := h.do(httptest.NewRequest(http.MethodGet, path, nil)); w.Code != http.StatusForbidden {
				t.Errorf("%s at %s: %d", who, path, w.Code)
			}
		}
	}
	ops := []string{"/ops", "/ops/messages", "/ops/messages/11", "/ops/duplicates", "/ops/outbox", "/ops/outbox/17"}
	refused("a physician", ops...)
	h.session.Identity = accesstest.SignedIn(t, "lee")
	h.places = []registry.Place{place("oak", "Oak Street Clinic", access.PrivacyOfficer, "")}
	refused("an officer", ops...)
	if len(h.ops.shifts) != 0 {
		t.Error("somebody else operates")
	}
	h.operator()
	if w := h.post("/worksite", url.Values{"worksite": {"oak"}, "purpose": {"TREAT"}}); w.Header().Get("Location") != "/ops" {
		t.Errorf("the worksite leads to %q", w.Header().Get("Location"))
	}
	refused("an operator", "/find", "/recent", base, "/officer", "/officer/log")
}

// A feed says when it was last heard, what it sends and what is held.
func TestFeedsAtAGlance(t *testing.T) {
	h := newHouse(t)
	h.operator()
	lab := record.FeedState{Source: "lab-a", Last: noon.Add(-5 * time.Minute), Today: 120, Lately: 7, Waiting: 2, Oldest: noon.Add(-9 * time.Second), Held: 3}
	lab.Letters = record.Undone{Waiting: 1, Refused: 2, Oldest: noon.Add(-time.Hour)}
	lab.Course[3], lab.Course[23] = 20, 7
	h.ops.feeds = []record.FeedState{{Source: "lab-b", Last: noon.Add(-27 * time.Hour), Paused: &record.Pause{Who: "Kim", Since: noon}}, lab, {Source: "gone"}}
	h.viewer.FeedNow = func(source string) FeedNow {
		if source != "lab-a" {
			return FeedNow{}
		}
		return FeedNow{Acks: 9, P50ms: 9.5, P99ms: 27, Dialect: "lab 3", Traced: 4, Unread: 2}
	}
	page := h.get("/ops")
	out := outline(page)
	if n := strings.Count(page, `action="/ops/pause"`); n != len(h.viewer.Feeds) {
		t.Errorf("%d feeds can be paused or resumed, %d are ours", n, len(h.viewer.Feeds))
	}
	for _, row := range []struct{ feed, do, did string }{{"lab-a", "pause", "pause lab-a true"}, {"lab-b", "resume", "pause lab-b false"}} {
		if w := h.post("/ops/pause", url.Values{"feed": {row.feed}, "do": {row.do}}); w.Header().Get("Location") != "/ops" || h.ops.did[len(h.ops.did)-1] != row.did {
			t.Errorf("%s %s: %d, %v", row.do, row.feed, w.Code, h.ops.did)
		}
	}
	if w := h.post("/ops/pause", url.Values{"feed": {"gone"}, "do": {"pause"}}); w.Code != http.StatusNotFound || len(h.ops.did) != 2 {
		t.Errorf("a feed that is not ours: %d, %v", w.Code, h.ops.did)
	}
	for _, want := range []string{
		"| General Hosp. | 0 | 0 | 0 | nothing yet | 0 | 0 |",
		"| Lab A | [3 held] | [2] the oldest for 9s | [2 refused] [1] the oldest for 1h0m0s | 22-Nov-2026 14:20 PST | 7 | 120 | (line)",
		"| Lab B | 0 | 0 | 0 | 21-Nov-2026 11:25 PST silent | 0 | 0 |",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the page does not say %q:\n%s", want, out)
		}
	}
	if s := h.ops.shifts[0]; s.Operator.Caller().Name() != "Dr Ann Lee" || s.Request == "" {
		t.Errorf("shift %+v", s)
	}
}

const heldText = "MSH|^~\\&|LAB|A|GW|B|20260301||ADT^A08|c7|P|2.5.1\rPID|1||^^^X||Ayan^Q~R\r"

// From the feeds it is three presses to a replay; a message is masked until
// somebody says why, and what is corrected is taken in as a copy.
func TestOperatorFindsFixesAndReplays(t *testing.T) {
	h := newHouse(t)
	h.operator()
	h.ops.message = record.Seen{Line: record.Line{ID: 11, Source: "lab-a", Kind: inbox.HL7v2, Type: "ADT^A08", ControlID: "c7", Received: noon, State: record.OnHold, Reason: "mapping: PID-3 in segment 2: no identifier"}, Text: heldText}
	h.ops.feeds = []record.FeedState{{Source: "lab-a", Last: noon, Held: 14}}
	says := func(out string, want ...string) {
		t.Helper()
		for _, s := range want {
			if !strings.Contains(out, s) {
				t.Errorf("the page does not say %q:\n%s", s, out)
			}
		}
	}
	m := regexp.MustCompile(`href="(/ops/messages[?][^"]*held)"`).FindStringSubmatch(h.get("/ops"))
	if m == nil {
		t.Fatal("no way to what is held")
	}
	list := h.get(unescape(m[1]))
	says(outline(list), "PID-3 in segment 2: no identifier | Lab A |", "Replay all 14", "Open as it came{Message 11}", "| 22-Nov-2026 14:25 PST | Lab A | ADT^A08 | c7 | held |")
	if q := h.ops.sought[0]; q.Source != "lab-a" || q.State != record.OnHold {
		t.Errorf("asked %+v", q)
	}
	page := h.get(link(t, list, "11"))
	if strings.Contains(page, "/same") {
		t.Error("a message without a place is taken for a doubtful one")
	}
	says(page, "PID|9||<mark>^^^x</mark>||xxxx^x~x", "MSH|^~\\&amp;|LAB|A|GW|B|20260301||ADT^A08|c7|P|2.5.1", `action="/ops/messages/11/replay"`)
	if strings.Contains(page, "Ayan") || strings.Contains(page, "<textarea") {
		t.Error("the masked page holds more than a mask")
	}
	h.ops.message.Trace = record.Trace{Dialect: "pas:3f2a", Unread: []string{"PID-42"}, Needed: []string{"MSH-9"}, Resources: []record.Traced{
		{Ref: fhir.Ref{Type: "Patient", ID: "a"}, Called: []string{"PID-3"}, Values: []record.TracedValue{{Element: "Patient.name.family", Text: "xxxx", From: []string{"PID-5", "NK1[2]-2[3]"}}}},
	}}
	says(outline(h.get("/ops/messages/11")), "pas:3f2a", "PID-42", "[MSH-9]", "Patient/a", "Called by [PID-3]", "| name.family | xxxx | [PID-5], [NK1[2]-2[3]]")
	if page := h.get("/ops/messages/11"); !strings.Contains(page, `<div id="PID">`) || !strings.Contains(page, `href="#NK1.2"`) {
		t.Errorf("the trace does not lead to the text:\n%s", page)
	}
	if w := h.post("/ops/messages/11/replay", nil); w.Header().Get("Location") != "/ops/messages/11" {
		t.Errorf("replay: %d to %q", w.Code, w.Header().Get("Location"))
	}
	if w := h.post("/ops/replay", url.Values{"feed": {"lab-a"}, "reason": {"R"}, "from": {"2026-03-01"}}); w.Header().Get("Location") != "/ops/messages?feed=lab-a&state=held" {
		t.Errorf("replay of all: %d to %q", w.Code, w.Header().Get("Location"))
	}
	says(h.post("/ops/messages/11", url.Values{"why": {"fault"}}).Body.String(), "Ayan^Q~R", "<textarea")
	bad := h.post("/ops/messages/11/copy", url.Values{"text": {"MSH|x\r\nPID|1"}})
	if bad.Code != http.StatusUnprocessableEntity {
		t.Errorf("an unfit copy: %d", bad.Code)
	}
	says(bad.Body.String(), "still none", "MSH|x")
	if w := h.post("/ops/messages/11/copy", url.Values{"text": {"MSH|x\r\n\r\nPID|1||9000^^^X\r\n"}}); w.Header().Get("Location") != "/ops/messages/12" {
		t.Errorf("a copy: %d to %q", w.Code, w.Header().Get("Location"))
	}
	if got, want := fmt.Sprint(h.ops.did), `[replay 11 replay lab-a: R 2026-03-01 mend 11 "MSH|x\rPID|1||9000^^^X\r"]`; got != want {
		t.Errorf("did %s, want %s", got, want)
	}
	h.ops.message.Reason = "doubtful identity: PID-7: another birth date"
	h.ops.message.Doubt = &record.Doubt{Says: record.Person{Name: "xxxx", Birth: "9999"}, Known: []record.Person{{Name: "xx", Numbers: []string{"9", "99"}, Source: "lab-a"}}, Beside: []inbox.ID{14}}
	says(h.get("/ops/messages/11"), `action="/ops/messages/11/same"`, "It is the same person", "until somebody says whose it is")
	says(outline(h.get("/ops/messages/11")), "| The message | xxxx | 9999 | | |", "| Known for its number | xx | | | 9, 99 | Lab A", "of the same number: [14]")
	if w := h.post("/ops/messages/11/same", nil); w.Header().Get("Location") != "/ops/messages/11" || h.ops.did[3] != "same 11" {
		t.Errorf("the same person: %d to %q", w.Code, w.Header().Get("Location"))
	}
	if w := h.post("/ops/messages/11/aside", url.Values{"reason": {" "}}); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "Say why, in at most 200 characters") {
		t.Errorf("set aside for no reason: %d", w.Code)
	}
	if w := h.post("/ops/messages/11/aside", url.Values{"reason": {" a test "}}); w.Header().Get("Location") != "/ops/messages/11" || h.ops.did[4] != "aside 11: a test" {
		t.Errorf("set aside: %d, %q", w.Code, h.ops.did)
	}
	h.ops.message.State, h.ops.message.Aside, h.ops.message.Doubt = record.SetAside, &record.Aside{Reason: "a test", Who: "Lee", At: noon}, nil
	h.ops.message.Said, h.ops.message.Read = true, "pas:11aa"
	page = outline(h.get("/ops/messages/11"))
	says(page, "set aside", "a test (Lee, ", "Was read by the dialect", "pas:11aa", "Take back")
	for _, s := range []string{"[Replay]", "Correct a copy", "No patient's data"} {
		if strings.Contains(page, s) {
			t.Errorf("of one that is set aside the page offers %q", s)
		}
	}
	if h.post("/ops/messages/11/back", nil); h.ops.did[5] != "back 11" {
		t.Errorf("did %q", h.ops.did)
	}
	h.ops.message.State, h.ops.message.Purged, h.ops.message.Text, h.ops.message.Aside = record.Purged, noon, "", nil
	page = outline(h.get("/ops/messages/11"))
	says(page, "text purged", "Its text was purged by policy", "Was read by the dialect")
	for _, s := range []string{"[Replay]", "Take back", "What it is mapped to", "Show as it came"} {
		if strings.Contains(page, s) {
			t.Errorf("of one whose text was purged the page offers %q", s)
		}
	}
	if w := h.do(httptest.NewRequest(http.MethodGet, "/ops/messages/13", nil)); w.Code != http.StatusNotFound {
		t.Errorf("nobody's message: %d", w.Code)
	}
}

// Probable duplicates are masked until somebody says why, then decided, and that
// can be taken back.
func TestOperatorDecidesOnDuplicates(t *testing.T) {
	h := newHouse(t)
	h.operator()
	ayan := record.Person{Name: "Ayan Demo", Birth: "1971-02-03", Sex: "female", Numbers: []string{"9000", "17"}, Source: "lab-a"}
	h.ops.pairs = []record.Pair{
		{A: "aa", B: "bb", Of: [2]record.Person{ayan, ayan}, Agrees: []string{"number", "postal"}, Since: noon},
		{A: "cc", B: "dd", Of: [2]record.Person{ayan, ayan}, Agrees: []string{"telephone"}, Since: noon, Decided: record.Same, Who: "Kim", At: noon},
	}
	page := h.get("/ops/duplicates")
	for _, want := range []string{"xxxx", "a number, the postal code.", "the telephone number. Linked by Kim, <", `value="undone"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q:\n%s", want, page)
		}
	}
	if strings.Contains(page, "Ayan") || strings.Contains(page, `value="same"`) {
		t.Error("the masked page tells of whom, or decides")
	}
	if page = h.post("/ops/duplicates", url.Values{"why": {"safety"}}).Body.String(); !strings.Contains(page, "Ayan Demo") || !strings.Contains(page, `value="different"`) {
		t.Errorf("in clear:\n%s", page)
	}
	if w := h.post("/ops/duplicates/decide", url.Values{"a": {"aa"}, "b": {"bb"}, "decision": {"same"}}); w.Header().Get("Location") != "/ops/duplicates" || fmt.Sprint(h.ops.did) != "[aa bb same]" {
		t.Errorf("decided %d: %v", w.Code, h.ops.did)
	}
}

// Letters are told of without whom they are of; one is masked until somebody says
// why, and is sent again or dropped only with a reason.
func TestOperatorDecidesOnLetters(t *testing.T) {
	h := newHouse(t)
	h.operator()
	h.ops.feeds = []record.FeedState{{Source: "lab-a", Letters: record.Undone{Refused: 2, Waiting: 1, Oldest: noon}}}
	refused := record.Sending{ID: 17, Feed: "lab-a", Type: "Communication", Entered: noon.Add(-time.Hour), State: inbox.Refused, Attempts: 3, Since: noon, Reason: "status 422"}
	behind := record.Sending{ID: 18, Feed: "lab-a", Type: "Task", Entered: noon}
	h.ops.posts = []record.Post{{Sending: refused}, {Sending: behind, Behind: 17}}
	list := h.get(unescape(regexp.MustCompile(`href="(/ops/outbox[?][^"]*refused)"`).FindStringSubmatch(h.get("/ops"))[1]))
	for _, want := range []string{
		"| [17] | Lab A | Communication | refused 22-Nov-2026 14:25 PST | status 422 | 3 | 22-Nov-2026 13:25 PST not sent for 1h0m0s |",
		"| [18] | Lab A | Task | waiting | behind letter [17] | 0 |",
		"[Look further]",
	} {
		if !strings.Contains(outline(list), want) {
			t.Errorf("the list does not say %q:\n%s", want, outline(list))
		}
	}
	if !strings.Contains(list, `href="/ops/outbox?feed=lab-a&amp;past=17&amp;state=refused"`) {
		t.Error("the list does not go on")
	}
	page := h.get("/ops/outbox/17")
	if strings.Contains(page, "Ayan") || !strings.Contains(page, "xxxx") {
		t.Errorf("the letter is not masked:\n%s", page)
	}
	if page := h.post("/ops/outbox/17", url.Values{"why": {"fault"}}).Body.String(); !strings.Contains(page, "Ayan") {
		t.Errorf("in clear:\n%s", page)
	}
	h.ops.did = nil
	for _, form := range []url.Values{{"do": {"retry"}, "reason": {" mended "}}, {"do": {"drop"}, "reason": {"he came by"}}} {
		if w := h.post("/ops/outbox/17/decide", form); w.Header().Get("Location") != "/ops/outbox/17" {
			t.Errorf("%v: %d", form, w.Code)
		}
	}
	if w := h.post("/ops/outbox", url.Values{"feed": {"lab-a"}, "reason": {"mended"}}); w.Header().Get("Location") != "/ops/outbox?feed=lab-a" {
		t.Errorf("all again: %d to %q", w.Code, w.Header().Get("Location"))
	}
	if got, want := strings.Join(h.ops.did, ", "), "retry 17: mended, drop 17: he came by, retry all of lab-a: mended"; got != want {
		t.Errorf("did %s, want %s", got, want)
	}
	for _, path := range []string{"/ops/outbox/17/decide", "/ops/outbox"} {
		if w := h.post(path, url.Values{"feed": {"lab-a"}, "do": {"drop"}, "reason": {" "}}); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "Say why, in at most 200 characters") {
			t.Errorf("%s for no reason: %d", path, w.Code)
		}
	}
	if w := h.do(httptest.NewRequest(http.MethodGet, "/ops/outbox/99", nil)); w.Code != http.StatusNotFound {
		t.Errorf("nobody's letter: %d", w.Code)
	}
	h.ops.posts[0].State, h.ops.posts[0].Answer, h.ops.posts[0].Became = inbox.Answered, "Communication/77", fhir.Ref{Type: "Task", ID: "t"}
	if page := h.get("/ops/outbox/17"); strings.Contains(page, "/decide") || strings.Contains(page, "Task/t") || !strings.Contains(page, "Communication/77") {
		t.Errorf("of one that is answered:\n%s", page)
	}
}

// What is looked for comes by the form, days are the facility's.
func TestOperatorLooksForMessages(t *testing.T) {
	h := newHouse(t)
	h.operator()
	out := h.post("/ops/messages", url.Values{"feed": {"lab-b"}, "state": {"pending"}, "control": {" c7 "}, "type": {"ADT"}, "patient": {"9001"}, "text": {"9000"}, "from": {"2026-03-01"}, "until": {"2026-03-01"}, "below": {"99"}})
	q := h.ops.sought[0]
	want := record.Sought{Source: "lab-b", State: record.Pending, Control: "c7", Type: "ADT", Patient: "9001", Text: "9000", Below: 99,
		From: time.Date(2026, 3, 1, 0, 0, 0, 0, vancouver), Until: time.Date(2026, 3, 2, 0, 0, 0, 0, vancouver)}
	if out.Code != http.StatusOK || !q.From.Equal(want.From) || !q.Until.Equal(want.Until) {
		t.Errorf("%d, from %v until %v", out.Code, q.From, q.Until)
	}
	if q.From, q.Until = want.From, want.Until; q != want {
		t.Errorf("asked %+v", q)
	}
	if w := h.post("/ops/messages", url.Values{"from": {"yesterday"}}); w.Code != http.StatusUnprocessableEntity || len(h.ops.sought) != 1 {
		t.Errorf("a day that is none: %d", w.Code)
	}
	h.get("/ops/messages?text=9000&control=c7&patient=9001")
	if q := h.ops.sought[1]; q.Text != "" || q.Patient != "" || q.Control != "" {
		t.Error("an address looks for somebody")
	}
}

// The place that a reason names is found in the text, and nothing is lost by it.
func TestPlaceIsMarked(t *testing.T) {
	for _, row := range []struct{ reason, mark string }{
		{"mapping: PID-3 in segment 2: no identifier", "^^^X"},
		{"mapping: PID-3.1 in segment 2: no identifier", "^^^X"},
		{"mapping: MSH-9 in segment 1: not known", "ADT^A08"},
		{"mapping: PID in segment 2: odd", "PID|1||^^^X||Ayan^Q~R"},
		{"mapping: PID-30 in segment 2: odd", "PID|1||^^^X||Ayan^Q~R"},
		{"mapping: PV1-3 in segment 2: of another segment", ""},
		{"mapping: PID-3: missing", ""},
		{"doubtful identity: PID-5: another name", "Ayan^Q~R"},
		{"", ""},
	} {
		var all, mark string
		for _, p := range marked(heldText, row.reason) {
			all += p.Text
			if p.Marked {
				mark += p.Text
			}
		}
		if mark != row.mark || all != strings.ReplaceAll(heldText, "\r", "\n") {
			t.Errorf("%q marks %q of %q", row.reason, mark, all)
		}
	}
}
