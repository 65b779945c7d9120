package viewer

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gorilla/mux"

	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/record"
	"firebreak/viewer/clinical"
)

const messagesAt = opsAt + "/messages"

// MessagesAt is the address of a feed's messages of that state. What else is
// looked for is posted: it may be somebody's.
func (f *frame) MessagesAt(source string, state record.State) string {
	return address(messagesAt, map[string]string{"feed": source, "state": string(state)})
}

type opsMessagesModel struct {
	*frame
	Q           record.Sought
	From, Until string // days as typed
	Wrong       bool
	Lines       []messageLine
	Below       inbox.ID // older ones begin; 0: there are none
	Back        clinical.Time
	Alike       []record.Alike
	States      []record.State
}

type messageLine struct {
	record.Line
	At clinical.Time
}

// Mendable tells whether it may be corrected here, or decided whose it is.
func (l messageLine) Mendable() bool {
	return l.State == record.OnHold && (l.Kind == inbox.HL7v2 || strings.HasPrefix(l.Reason, "doubtful"))
}

// Mendable tells whether any may be.
func (m opsMessagesModel) Mendable() bool { return slices.ContainsFunc(m.Lines, messageLine.Mendable) }

// opsMessages looks for stored messages.
func (v *Viewer) opsMessages(w http.ResponseWriter, r *http.Request, f *frame, s record.Shift) error {
	m := opsMessagesModel{frame: f, States: []record.State{record.Pending, record.OnHold, record.SetAside}}
	if err := v.seekMessages(r, &m); err != nil {
		return err
	}
	if m.Wrong {
		return v.render(w, r, http.StatusUnprocessableEntity, f.Page, m)
	}
	found, err := v.Ops.Messages(r.Context(), s, m.Q)
	if err != nil {
		return err
	}
	for _, l := range found.Lines {
		m.Lines = append(m.Lines, messageLine{l, clinical.Moment(l.Received, v.Zone)})
	}
	if m.Below = found.Below; m.Below > 0 {
		m.Back = clinical.Moment(found.Back, v.Zone)
	}
	if r.Method != http.MethodPost && m.Q.State == record.OnHold {
		if m.Alike, err = v.Ops.Alike(r.Context(), s); err != nil {
			return err
		}
	}
	return v.render(w, r, http.StatusOK, f.Page, m)
}

// seekMessages reads what is looked for: by feed and state from a link, by what
// else was typed from the form.
func (v *Viewer) seekMessages(r *http.Request, m *opsMessagesModel) error {
	value := r.URL.Query().Get
	if r.Method == http.MethodPost {
		value = func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	}
	m.Q = record.Sought{Source: value("feed"), State: record.State(value("state"))}
	if m.Q.State != record.OnHold && m.Q.State != record.Pending && m.Q.State != record.SetAside {
		m.Q.State = ""
	}
	if r.Method != http.MethodPost {
		return nil
	}
	m.Q.Control, m.Q.Type, m.Q.Patient = value("control"), value("type"), value("patient")
	m.Q.Text, m.Q.Reason = value("text"), value("reason")
	m.From, m.Until = value("from"), value("until")
	var bad [2]bool
	m.Q.From, bad[0] = v.day(m.From, 0)
	m.Q.Until, bad[1] = v.day(m.Until, 1)
	m.Wrong = bad[0] || bad[1]
	below, err := entryNumber(value("below"))
	m.Q.Below = inbox.ID(below)
	return err
}

// day is the beginning of a day of the facility, some days on.
func (v *Viewer) day(s string, on int) (t time.Time, wrong bool) {
	if s == "" {
		return time.Time{}, false
	}
	t, err := time.ParseInLocation(time.DateOnly, s, v.Zone)
	return t.AddDate(0, 0, on), err != nil
}

// StateWord is how far a message has come, in words.
func (f *frame) StateWord(s record.State) string { return f.v.words.say("ops.state." + string(s)) }

// WhyWord is why a message is read, in words.
func (f *frame) WhyWord(w record.Why) string { return f.v.words.say("ops.why." + string(w)) }

// SourceNames are the feeds' names by which messages are stored, with what they are called.
func (f *frame) SourceNames() map[string]string { return f.v.Feeds }

type opsMessageModel struct {
	*frame
	record.Seen
	At      clinical.Time
	Lines   []segmentLine
	Blocks  []tracedBlock
	More    []string // resources that are named only
	Needed  []spot
	Whys    []record.Why
	Advice  string // what to do about it
	Persons []personLine
	Fixable bool          // here
	Edited  string        // the copy, as typed or to begin with
	Unfit   string        // why the copy was not taken
	SetAt   clinical.Time // when it was set aside

	PurgedAt clinical.Time // when its text was purged

	Mute bool // no reason was given to set it aside
}

// personLine is one of those who are compared.
type personLine struct {
	record.Person
	Whose string // who says so
}

// part is a stretch of a message's text.
type part struct {
	Text   string
	Marked bool // the reason names it
}

func (v *Viewer) opsMessage(w http.ResponseWriter, r *http.Request, f *frame, s record.Shift) error {
	return v.messagePage(w, r, f, s, http.StatusOK, "", "", record.Why(r.PostFormValue("why")))
}

// maxEdited is how long a message may be to be corrected in a form.
const maxEdited = 40 << 10

func (v *Viewer) messagePage(w http.ResponseWriter, r *http.Request, f *frame, s record.Shift, status int, edited, unfit string, why record.Why) error {
	seen, err := v.Ops.Message(r.Context(), s, messageID(r), why)
	if err != nil {
		return err
	}
	f.Tab = "messages"
	m := opsMessageModel{frame: f, Seen: seen, At: clinical.Moment(seen.Received, v.Zone), Lines: linesOf(marked(seen.Text, seen.Reason), seen.Kind), Needed: placesOf(seen.Trace.Needed), Whys: record.Whys(), Edited: edited, Unfit: unfit}
	if seen.Aside != nil {
		m.SetAt = clinical.Moment(seen.Aside.At, v.Zone)
	}
	if !seen.Purged.IsZero() {
		m.PurgedAt = clinical.Moment(seen.Purged, v.Zone)
	}
	m.Mute = status == http.StatusUnprocessableEntity && unfit == ""
	m.Blocks, m.More = blocksOf(seen.Trace.Resources)
	if seen.State == record.OnHold {
		m.Advice = v.words.say("ops.advice." + advice(seen.Reason))
	}
	if seen.Doubt != nil {
		m.Persons = append(m.Persons, personLine{seen.Doubt.Says, v.words.say("ops.doubt.says")})
		for _, p := range seen.Doubt.Known {
			m.Persons = append(m.Persons, personLine{p, v.words.say("ops.doubt.known")})
		}
	}
	if seen.State == record.OnHold && seen.Clear && seen.Kind == inbox.HL7v2 {
		m.Fixable = len(seen.Text) <= maxEdited && utf8.ValidString(seen.Text) && !strings.Contains(seen.Text, "\x00")
		if m.Edited == "" {
			m.Edited = strings.Join(segments(seen.Text), "\n")
		}
	}
	return v.render(w, r, status, f.Page, m)
}

func messageID(r *http.Request) inbox.ID {
	n, err := strconv.ParseInt(mux.Vars(r)["id"], 10, 64)
	if err != nil {
		return 0 // nobody's
	}
	return inbox.ID(n)
}

func (v *Viewer) replay(w http.ResponseWriter, r *http.Request, _ *frame, s record.Shift) error {
	id := messageID(r)
	if err := v.Ops.Replay(r.Context(), s, id); err != nil {
		return err
	}
	http.Redirect(w, r, messagesAt+"/"+strconv.FormatInt(int64(id), 10), http.StatusSeeOther)
	return nil
}

// vouch says that a message is of the patient whose number it names.
func (v *Viewer) vouch(w http.ResponseWriter, r *http.Request, _ *frame, s record.Shift) error {
	id := messageID(r)
	if err := v.Ops.Vouch(r.Context(), s, id); err != nil {
		return err
	}
	http.Redirect(w, r, messagesAt+"/"+strconv.FormatInt(int64(id), 10), http.StatusSeeOther)
	return nil
}

// setAside sets a message aside that can never be applied.
func (v *Viewer) setAside(w http.ResponseWriter, r *http.Request, f *frame, s record.Shift) error {
	id := messageID(r)
	reason, ok := record.WrittenReason(r.PostFormValue("reason"))
	if !ok {
		return v.messagePage(w, r, f, s, http.StatusUnprocessableEntity, "", "", "")
	}
	if err := v.Ops.SetAside(r.Context(), s, id, reason); err != nil {
		return err
	}
	http.Redirect(w, r, messagesAt+"/"+strconv.FormatInt(int64(id), 10), http.StatusSeeOther)
	return nil
}

// takeBack makes it a held one again.
func (v *Viewer) takeBack(w http.ResponseWriter, r *http.Request, _ *frame, s record.Shift) error {
	id := messageID(r)
	if err := v.Ops.TakeBack(r.Context(), s, id); err != nil {
		return err
	}
	http.Redirect(w, r, messagesAt+"/"+strconv.FormatInt(int64(id), 10), http.StatusSeeOther)
	return nil
}

// replayFound applies again what is held and was looked for.
func (v *Viewer) replayFound(w http.ResponseWriter, r *http.Request, f *frame, s record.Shift) error {
	m := opsMessagesModel{}
	if err := v.seekMessages(r, &m); err != nil {
		return err
	}
	if m.Wrong {
		return fhir.NotFound()
	}
	if _, err := v.Ops.ReplayFound(r.Context(), s, m.Q); err != nil {
		return err
	}
	http.Redirect(w, r, f.MessagesAt(m.Q.Source, record.OnHold), http.StatusSeeOther)
	return nil
}

// mend takes in a corrected copy.
func (v *Viewer) mend(w http.ResponseWriter, r *http.Request, f *frame, s record.Shift) error {
	text := r.PostFormValue("text")
	id, err := v.Ops.Mend(r.Context(), s, messageID(r), []byte(strings.Join(segments(text), "\r")+"\r"))
	if unfit, ok := errors.AsType[*record.Unfit](err); ok {
		return v.messagePage(w, r, f, s, http.StatusUnprocessableEntity, text, unfit.Reason, record.Whys()[0])
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, messagesAt+"/"+strconv.FormatInt(int64(id), 10), http.StatusSeeOther)
	return nil
}

// segments are the lines of a message that are not blank.
func segments(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == '\r' || c == '\n' })
}

// named is the place in a reason: "PID-3.1 in segment 3"; of a doubtful
// identity, which the record finds, in the first segment of that name.
var named = regexp.MustCompile(`\b([A-Z][A-Z0-9]{2})(?:-([0-9]{1,3}))?[0-9.]* in segment ([0-9]{1,6})\b|doubtful identity: ([A-Z][A-Z0-9]{2})-([0-9]{1,3}): `)

// marked cuts a message's text into what the reason for holding it names, and
// the rest. Lines are as in the text, each ended by a line feed.
func marked(text, reason string) []part {
	place := named.FindStringSubmatch(reason)
	if place != nil && place[4] != "" {
		place[1], place[2] = place[4], place[5]
		n := slices.IndexFunc(segments(text), func(line string) bool { return strings.HasPrefix(line, place[1]) })
		place[3] = strconv.Itoa(n + 1)
	}
	var all []part
	add := func(text string, mark bool) {
		if n := len(all); n > 0 && all[n-1].Marked == mark {
			all[n-1].Text += text
		} else if text != "" {
			all = append(all, part{text, mark})
		}
	}
	for i, line := range segments(text) {
		if place == nil || place[3] != strconv.Itoa(i+1) || !strings.HasPrefix(line, place[1]) || len(line) < 4 {
			add(line+"\n", false)
			continue
		}
		field, _ := strconv.Atoi(place[2])
		if place[1] == "MSH" { // whose first field is the separator
			field--
		}
		parts := strings.Split(line, line[3:4])
		if field < 1 || field >= len(parts) {
			add(line, true)
			add("\n", false)
			continue
		}
		add(strings.Join(parts[:field], line[3:4])+line[3:4], false)
		add(parts[field], true)
		add("", false)
		if rest := parts[field+1:]; len(rest) > 0 {
			add(line[3:4]+strings.Join(rest, line[3:4]), false)
		}
		add("\n", false)
	}
	return all
}

var _ Operations = (*record.Operations)(nil)
