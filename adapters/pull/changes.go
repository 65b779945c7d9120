package pull

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"strconv"
	"time"

	"firebreak/adapters/peer"
	"firebreak/inbox"
)

const (
	maxWindow = 5000            // resources in a window, where the server counts them
	maxPages  = 100_000         // of one window: a server that links on for ever is found out
	retakes   = 3               // of a window whose pages held fewer than its count
	firstYear = 1970            // nothing changed before
	minSpan   = 2 * time.Second // of a window
)

// typeState is how far one type was read.
type typeState struct {
	Upto    time.Time `json:"upto,omitzero"`    // what changed before is taken
	Span    int64     `json:"span,omitzero"`    // seconds of the last window; zero: as long as may be
	Window  *window   `json:"window,omitzero"`  // being read
	Deleted time.Time `json:"deleted,omitzero"` // deletions before are taken

	Round      int64     `json:"round,omitzero"`      // of the listing under way, or the last one
	Listing    *listing  `json:"listing,omitzero"`    // under way
	Listed     time.Time `json:"listed,omitzero"`     // when the last one ended
	Compared   time.Time `json:"compared,omitzero"`   // when counts were
	Unequal    int       `json:"unequal,omitzero"`    // comparisons, one after another, that differed
	Difference int       `json:"difference,omitzero"` // of the counts after a listing: no gap
}

// window is the changes from From to before To, by the server's clock.
type window struct {
	From  time.Time `json:"from,omitzero"` // zero: the first
	To    time.Time `json:"to"`
	Next  string    `json:"next,omitzero"` // page to be read; empty: the first
	Pages int       `json:"pages,omitzero"`
	Again int       `json:"again,omitzero"`
}

// between is the search for a window, by whole seconds.
func (w *window) between() url.Values {
	q := url.Values{"_lastUpdated": {"lt" + w.To.UTC().Format(time.RFC3339)}}
	if !w.From.IsZero() {
		q.Add("_lastUpdated", "ge"+w.From.UTC().Format(time.RFC3339))
	}
	return q
}

func (w *window) span() time.Duration {
	from := w.From
	if from.IsZero() {
		from = time.Date(firstYear, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return w.To.Sub(from)
}

func (w *window) cut(span time.Duration) {
	w.To = w.To.Add(span - w.span()).Truncate(time.Second)
}

// readType takes what changed of a type, what was deleted, and now and then
// what was missed.
func (f *Feed) readType(ctx context.Context, typ string) error {
	var s typeState
	if err := f.load(ctx, typ, &s); err != nil {
		return err
	}
	if err := f.changes(ctx, typ, &s); err != nil {
		return err
	}
	if err := f.deletions(ctx, typ, &s); err != nil {
		return err
	}
	return f.missing(ctx, typ, &s)
}

// changes takes window after window until now.
func (f *Feed) changes(ctx context.Context, typ string, s *typeState) error {
	now := f.server.Clock().Truncate(time.Second)
	for s.Window != nil || s.Upto.Before(now) {
		if s.Window == nil {
			w, err := f.window(ctx, typ, s, now)
			if err != nil {
				return err
			}
			s.Window = w
		}
		if err := f.readWindow(ctx, typ, s); err != nil {
			return err
		}
	}
	return nil
}

// window is the next to be read: from a little before where the last ended, and
// as long as its count allows.
func (f *Feed) window(ctx context.Context, typ string, s *typeState, now time.Time) (*window, error) {
	w := &window{To: now}
	if !s.Upto.IsZero() {
		w.From = s.Upto.Add(-f.Overlap).Truncate(time.Second)
	}
	low := max(minSpan, f.Overlap+minSpan) // a shorter one would not come further
	if w.From.IsZero() {
		low = minSpan
	}
	if last := time.Duration(s.Span) * time.Second; last > 0 && w.span() > 4*last {
		w.cut(max(low, 4*last))
	}
	for w.span() > 2*low {
		n, err := f.total(ctx, typ, w.between())
		if err != nil {
			return nil, err
		}
		if n <= cmp.Or(f.most, maxWindow) {
			break
		}
		w.cut(max(low, w.span()/2))
	}
	s.Span = int64(w.span() / time.Second)
	return w, nil
}

// total asks for a count; -1 when the server does not count.
func (f *Feed) total(ctx context.Context, typ string, q url.Values) (int, error) {
	q.Set("_summary", "count")
	r, _, err := f.server.Get(ctx, f.server.At(typ, q))
	if err != nil {
		if peer.IsRefusal(err) {
			return -1, nil
		}
		return 0, err
	}
	p, err := readPage(r, typ)
	return p.total, err
}

// readWindow takes the pages of the window that are left, each kept when it is
// on disk.
func (f *Feed) readWindow(ctx context.Context, typ string, s *typeState) error {
	for w := s.Window; ; {
		address := w.Next
		if address == "" {
			q := w.between()
			q.Set("_count", strconv.Itoa(f.Page))
			address = f.server.At(typ, q)
		}
		p, err := f.page(ctx, typ, address)
		if peer.IsGone(err) && w.Next != "" {
			// Its pages did not last. A shorter one is read faster.
			s.Span, s.Window = max(1, s.Span/16), nil
			return errors.Join(errPages, f.keep(ctx, typ, s, inbox.Asked{}))
		}
		if err != nil {
			return err
		}
		if err := f.whole(ctx, typ, &p); err != nil {
			return err
		}
		taken, err := f.take(ctx, typ, s.Round, p.all, w.To)
		if err != nil {
			return err
		}
		w.Next = p.next
		w.Pages++
		if p.next == "" || w.Pages >= maxPages {
			return f.endWindow(ctx, typ, s, p.next != "", taken)
		}
		if err := f.keep(ctx, typ, s, taken); err != nil {
			return err
		}
	}
}

var errPages = errors.New("pull: the pages of a search did not last until they were read; it is begun again, shorter")

// page asks for one page. That its next link leads elsewhere is its fault: it is
// not taken, to be asked for again.
func (f *Feed) page(ctx context.Context, typ, address string) (page, error) {
	r, _, err := f.server.Get(ctx, address)
	if err != nil {
		return page{}, err
	}
	p, err := readPage(r, typ)
	if err != nil {
		return page{}, err
	}
	if p.next != "" {
		u, err := f.server.Link(p.next)
		if err != nil {
			return page{}, err
		}
		p.next = u.String()
	}
	return p, nil
}

// whole asks for the resources of which the server sent a part only.
func (f *Feed) whole(ctx context.Context, typ string, p *page) error {
	kept := p.all[:0]
	for _, x := range p.all {
		if x.part {
			again, err := f.one(ctx, typ, x.id)
			if peer.IsGone(err) {
				continue
			}
			if err != nil {
				return err
			}
			x = again
		}
		kept = append(kept, x)
	}
	p.all = kept
	return nil
}

// one asks for one resource.
func (f *Feed) one(ctx context.Context, typ, id string) (found, error) {
	r, _, err := f.server.Get(ctx, f.server.At(typ+"/"+id, nil))
	if err != nil {
		return found{}, err
	}
	x, other := readFound(r.JSON(), typ)
	if other || x.id != id {
		return found{}, errPage
	}
	return x, nil
}

// endWindow ends a window, or begins it anew where its pages held less than
// its count says: while they were turned, something left it and another was
// turned over.
func (f *Feed) endWindow(ctx context.Context, typ string, s *typeState, endless bool, taken inbox.Asked) error {
	w := *s.Window
	s.Window = nil
	if endless || w.Pages > 1 && w.Again < retakes {
		if err := f.keep(ctx, typ, s, taken); err != nil { // after a crash here it is read again
			return err
		}
		taken = inbox.Asked{}
		theirs, err := f.total(ctx, typ, w.between())
		if err != nil {
			return err
		}
		ours, err := f.Store.Count(ctx, f.Source, typ, w.From, w.To)
		if err != nil {
			return err
		}
		if theirs > ours {
			s.Window = &window{From: w.From, To: w.To, Again: w.Again + 1}
			return f.keep(ctx, typ, s, taken)
		}
	}
	s.Upto = w.To
	return f.keep(ctx, typ, s, taken)
}
