package viewer

import (
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/mux"

	"firebreak/inbox"
	"firebreak/record"
	"firebreak/viewer/clinical"
)

const outboxAt = opsAt + "/outbox"

// OutboxAt is the address of the letters to a feed of that state; of all that are
// not sent, when it is empty.
func (f *frame) OutboxAt(feed, state string) string {
	return address(outboxAt, map[string]string{"feed": feed, "state": state})
}

// LetterWord is how far a letter has come, in words.
func (f *frame) LetterWord(s inbox.LetterState) string {
	return f.v.words.say("ops.letter." + s.String())
}

type opsOutboxModel struct {
	*frame
	Q      record.Mail
	Lines  []letterLine
	On     string // where the list goes on; empty: nowhere
	Back   clinical.Time
	States []inbox.LetterState
	Again  bool // all that it shows can be sent again at once
	Mute   bool // no reason was given for that
}

// letterLine is a letter in a list.
type letterLine struct {
	record.Post
	Came, At, Then clinical.Time // when it was entered, when its state was reached, when it is tried again
	Age            string        // how long it is not sent; empty when it is
}

func (v *Viewer) letterLine(p record.Post, now time.Time) letterLine {
	l := letterLine{Post: p, Came: clinical.Moment(p.Entered, v.Zone)}
	if p.Attempts > 0 || p.State != inbox.Waiting {
		l.At = clinical.Moment(p.Since, v.Zone)
	}
	if p.Due.After(now) {
		l.Then = clinical.Moment(p.Due, v.Zone)
	}
	if p.State < inbox.Sent {
		l.Age = max(0, now.Sub(p.Entered)).Round(time.Second).String()
	}
	return l
}

// opsOutbox lists letters; what is looked for is nobody's, and so stands in the address.
func (v *Viewer) opsOutbox(w http.ResponseWriter, r *http.Request, f *frame, s record.Shift) error {
	value := r.URL.Query().Get
	past, err := entryNumber(value("past"))
	if err != nil {
		return err
	}
	return v.outboxPage(w, r, f, s, http.StatusOK, record.Mail{Feed: value("feed"), State: value("state"), Past: past})
}

func (v *Viewer) outboxPage(w http.ResponseWriter, r *http.Request, f *frame, s record.Shift, status int, q record.Mail) error {
	found, err := v.Ops.Letters(r.Context(), s, q)
	if err != nil {
		return err
	}
	m := opsOutboxModel{frame: f, Q: q, States: record.LetterStates(), Mute: status != http.StatusOK}
	for _, p := range found.All {
		m.Lines = append(m.Lines, v.letterLine(p, f.now))
	}
	m.Again = q.State == inbox.Refused.String() && q.Feed != "" && len(m.Lines) > 0
	if found.Past > 0 {
		m.Back = clinical.Moment(found.Back, v.Zone)
		m.On = address(outboxAt, map[string]string{"feed": q.Feed, "state": q.State, "past": strconv.FormatInt(found.Past, 10)})
	}
	return v.render(w, r, status, f.Page, m)
}

// retryRefused has all letters sent again that one feed's system refused.
func (v *Viewer) retryRefused(w http.ResponseWriter, r *http.Request, f *frame, s record.Shift) error {
	feed := r.PostFormValue("feed")
	reason, ok := record.WrittenReason(r.PostFormValue("reason"))
	if !ok {
		return v.outboxPage(w, r, f, s, http.StatusUnprocessableEntity, record.Mail{Feed: feed, State: inbox.Refused.String()})
	}
	if _, err := v.Ops.RetryRefused(r.Context(), s, feed, reason); err != nil {
		return err
	}
	http.Redirect(w, r, f.OutboxAt(feed, ""), http.StatusSeeOther)
	return nil
}

type opsLetterModel struct {
	*frame
	letterLine
	Text  string
	Clear bool
	Whys  []record.Why
	Open  bool // it can be decided on
	Mute  bool // no reason was given
}

func (v *Viewer) opsLetter(w http.ResponseWriter, r *http.Request, f *frame, s record.Shift) error {
	return v.letterPage(w, r, f, s, http.StatusOK, record.Why(r.PostFormValue("why")))
}

func (v *Viewer) letterPage(w http.ResponseWriter, r *http.Request, f *frame, s record.Shift, status int, why record.Why) error {
	seen, err := v.Ops.Letter(r.Context(), s, letterID(r), why)
	if err != nil {
		return err
	}
	f.Tab = "outbox"
	return v.render(w, r, status, f.Page, opsLetterModel{frame: f, letterLine: v.letterLine(seen.Post, f.now), Text: seen.Text, Clear: seen.Clear,
		Whys: record.Whys(), Open: seen.State < inbox.Sent, Mute: status != http.StatusOK})
}

func letterID(r *http.Request) int64 {
	n, _ := strconv.ParseInt(mux.Vars(r)["id"], 10, 64) // no number: nobody's
	return n
}

// decideLetter has a letter sent again, or not at all.
func (v *Viewer) decideLetter(w http.ResponseWriter, r *http.Request, f *frame, s record.Shift) error {
	do := v.Ops.Retry
	if r.PostFormValue("do") == "drop" {
		do = v.Ops.Drop
	}
	reason, ok := record.WrittenReason(r.PostFormValue("reason"))
	if !ok {
		return v.letterPage(w, r, f, s, http.StatusUnprocessableEntity, "")
	}
	id := letterID(r)
	if err := do(r.Context(), s, id, reason); err != nil {
		return err
	}
	http.Redirect(w, r, outboxAt+"/"+strconv.FormatInt(id, 10), http.StatusSeeOther)
	return nil
}
