package viewer

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"firebreak/access"
	"firebreak/fhir"
	"firebreak/inbox"
	"firebreak/record"
	"firebreak/viewer/clinical"
	"firebreak/web"
)

// Operations is what an operator sees and does; record.Operations does. Each
// call is audited before it returns.
type Operations interface {
	Feeds(ctx context.Context, s record.Shift, midnight time.Time) (all []record.FeedState, most bool, err error)
	Messages(ctx context.Context, s record.Shift, q record.Sought) (record.Found, error)
	Alike(ctx context.Context, s record.Shift) ([]record.Alike, error)
	Message(ctx context.Context, s record.Shift, id inbox.ID, why record.Why) (record.Seen, error)
	Replay(ctx context.Context, s record.Shift, id inbox.ID) error
	Vouch(ctx context.Context, s record.Shift, id inbox.ID) error
	SetAside(ctx context.Context, s record.Shift, id inbox.ID, reason string) error
	TakeBack(ctx context.Context, s record.Shift, id inbox.ID) error
	ReplayFound(ctx context.Context, s record.Shift, q record.Sought) (int, error)
	Pairs(ctx context.Context, s record.Shift, why record.Why) (open, past []record.Pair, err error)
	Judge(ctx context.Context, s record.Shift, a, b string, j record.Judgement) error
	Pause(ctx context.Context, s record.Shift, source string, pause bool) error
	Mend(ctx context.Context, s record.Shift, id inbox.ID, body []byte) (inbox.ID, error)
	Letters(ctx context.Context, s record.Shift, q record.Mail) (record.Posts, error)
	Letter(ctx context.Context, s record.Shift, id int64, why record.Why) (record.SeenLetter, error)
	Retry(ctx context.Context, s record.Shift, id int64, reason string) error
	Drop(ctx context.Context, s record.Shift, id int64, reason string) error
	RetryRefused(ctx context.Context, s record.Shift, feed, reason string) (int, error)
}

const opsAt = "/ops"

// runner answers one request of an operator on one page.
type runner func(w http.ResponseWriter, r *http.Request, f *frame, s record.Shift) error

// ops makes a handler of the operator's page of that name.
func (v *Viewer) ops(page string, h runner) http.Handler {
	return v.pages.Operator(func(w http.ResponseWriter, r *http.Request, o access.Operator) error {
		f := v.frame(r, "ops-"+page, o.Caller())
		f.Tab = page
		return h(w, r, f, record.Shift{Operator: o, Address: web.Address(r), Request: web.RequestID(r)})
	})
}

type opsFeedsModel struct {
	*frame
	All  []feedLine
	Most bool // more is undone than was counted
}

// FeedNow is what a running process knows of a feed.
type FeedNow struct {
	Acks           int64   // messages it answered
	P50ms, P99ms   float64 // from a whole message to its acknowledgement, of the last 1,000
	Dialect        string  // name and version; empty: the standard's
	Hours          string  // in which it asks, looks or sends; empty: always
	Shut           bool    // it is not in them
	Traced, Unread int     // messages looked through, and fields in them that nobody reads
}

type feedLine struct {
	record.FeedState
	FeedNow
	Name   string
	At     clinical.Time // of the last message
	Silent bool          // for longer than feeds usually are
	Lag    string        // how long the oldest waits; empty when nothing does
	Unsent string        // how long the oldest letter does; empty when none does
	Ours   bool          // it is configured, and can be paused
	Since  clinical.Time // it is paused
}

// opsFeeds is how every feed does: those that sent, and those configured.
func (v *Viewer) opsFeeds(w http.ResponseWriter, r *http.Request, f *frame, s record.Shift) error {
	y, m, d := f.now.In(v.Zone).Date()
	all, most, err := v.Ops.Feeds(r.Context(), s, time.Date(y, m, d, 0, 0, 0, 0, v.Zone))
	if err != nil {
		return err
	}
	for name := range v.Feeds {
		if !slices.ContainsFunc(all, func(x record.FeedState) bool { return x.Source == name }) {
			all = append(all, record.FeedState{Source: name})
		}
	}
	model := opsFeedsModel{frame: f, Most: most}
	for _, x := range all {
		l := feedLine{FeedState: x, Name: v.feedName(x.Source), Silent: f.now.Sub(x.Last) > v.Late}
		if _, l.Ours = v.Feeds[x.Source]; l.Ours && v.FeedNow != nil {
			l.FeedNow = v.FeedNow(x.Source)
		}
		if x.Paused != nil {
			l.Since = clinical.Moment(x.Paused.Since, v.Zone)
		}
		if !x.Last.IsZero() {
			l.At = clinical.Moment(x.Last, v.Zone)
		}
		if x.Waiting > 0 {
			l.Lag = max(0, f.now.Sub(x.Oldest)).Round(time.Second).String()
		}
		if x.Letters.Waiting+x.Letters.Refused > 0 {
			l.Unsent = max(0, f.now.Sub(x.Letters.Oldest)).Round(time.Second).String()
		}
		model.All = append(model.All, l)
	}
	slices.SortStableFunc(model.All, func(a, b feedLine) int { return strings.Compare(a.Name, b.Name) })
	return v.render(w, r, http.StatusOK, f.Page, model)
}

// Answered is how fast its messages are acknowledged, in milliseconds.
func (l feedLine) Answered() string {
	if l.Acks == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f / %.1f ms", l.P50ms, l.P99ms)
}

// pauseFeed has what comes from a feed kept and not applied, or ends that.
func (v *Viewer) pauseFeed(w http.ResponseWriter, r *http.Request, _ *frame, s record.Shift) error {
	source, do := r.PostFormValue("feed"), r.PostFormValue("do")
	if _, ours := v.Feeds[source]; !ours || do != "pause" && do != "resume" {
		return fhir.NotFound()
	}
	if err := v.Ops.Pause(r.Context(), s, source, do == "pause"); err != nil {
		return err
	}
	http.Redirect(w, r, opsAt, http.StatusSeeOther)
	return nil
}

// Drawn shows how many messages came in each of the last hours, as bars. People
// who hear the page have the numbers beside it.
func (l feedLine) Drawn() template.HTML {
	most := slices.Max(l.Course[:])
	if most == 0 {
		return ""
	}
	const wide, high = 4, 22
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="sp" width="%d" height="%d" aria-hidden="true" focusable="false"><path class="b" d="`, wide*len(l.Course), high)
	for i, n := range l.Course {
		if n > 0 {
			up := max(1.5, float64(n)/float64(most)*(high-2))
			fmt.Fprintf(&b, "M%d %sh%dV%dh-%dz", i*wide, px(high-up), wide-1, high, wide-1)
		}
	}
	b.WriteString(`"/></svg>`)
	return template.HTML(b.String())
}
