package pull

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"firebreak/adapters/peer"
	"firebreak/inbox"
)

// What a search for changes cannot tell: that something is gone, and that
// something was never shown. Three ways find it, each slower and surer than the
// one before. The server's history of a type tells deletions, where it keeps
// one. Counts that differ twice tell that there is something to find. A listing
// of all ids finds it: each id that is not known here is asked for, and each
// that is not listed too, for pages may turn something over. Only what the
// server then says it does not have is deleted.

const (
	unequalTwice = 2   // comparisons: between one and the next, changes settle
	unseenPage   = 100 //
	manyGone     = 100 // may vanish at a time whatever the share; of more, at most half
)

// listing is a listing of all ids, under way.
type listing struct {
	Began time.Time `json:"began"`
	Next  string    `json:"next,omitzero"`
	Pages int       `json:"pages,omitzero"`
	Told  bool      `json:"told,omitzero"` // to its end: what was not in it is asked for
	After string    `json:"after,omitzero"`
}

// errVanished stops deletions that look like a fault of the server's.
var errVanished = errors.New("pull: more than half of what the server had is gone; nothing of it is deleted while that is so")

// deletions takes what the server's history says was deleted.
func (f *Feed) deletions(ctx context.Context, typ string, s *typeState) error {
	if !f.deletes[typ] {
		return nil
	}
	now := f.server.Clock().Truncate(time.Second)
	if s.Deleted.IsZero() { // what was deleted before it was ever taken is nothing
		s.Deleted = s.Upto
	}
	q := url.Values{"_since": {s.Deleted.Add(-f.Overlap).UTC().Format(time.RFC3339)}, "_count": {strconv.Itoa(f.Page)}}
	address := f.server.At(typ+"/_history", q)
	for n := 0; address != ""; n++ {
		p, err := f.page(ctx, typ, address)
		if peer.IsRefusal(err) && n == 0 || err == nil && n >= maxPages {
			f.log().Warn("the server's history of a type cannot be read; deletions are found by listing", "type", typ)
			f.deletes[typ] = false
			return nil
		}
		if err != nil {
			return fmt.Errorf("_history: %w", err)
		}
		gone, err := f.confirmed(ctx, typ, p.all)
		if err != nil {
			return err
		}
		taken, err := f.take(ctx, typ, s.Round, gone, now)
		if err != nil {
			return err
		}
		if address = p.next; address == "" {
			s.Deleted = now
		}
		if len(taken.Gone) > 0 || address == "" {
			if err := f.keep(ctx, typ, s, taken); err != nil {
				return err
			}
		}
	}
	return nil
}

// confirmed gives the deletions of what is known here and not there again: a
// server's clock may tick so slowly that a deletion and what came after it bear
// one time.
func (f *Feed) confirmed(ctx context.Context, typ string, all []found) (gone []found, err error) {
	var ids []string
	for _, x := range all {
		if x.res.IsZero() && x.raw == nil {
			ids = append(ids, x.id)
		}
	}
	known, err := f.Store.Known(ctx, f.Source, typ, ids)
	if err != nil {
		return nil, err
	}
	for _, x := range all {
		k, had := known[x.id]
		if !had || !x.res.IsZero() || x.at.Before(k.Updated) && !x.at.IsZero() {
			continue
		}
		if _, err := f.one(ctx, typ, x.id); peer.IsGone(err) {
			gone = append(gone, x)
		} else if err != nil {
			return nil, err
		}
	}
	return gone, nil
}

// missing compares counts when it is time, and lists when they differ or have
// long not been.
func (f *Feed) missing(ctx context.Context, typ string, s *typeState) error {
	now := f.server.Clock()
	if s.Listed.IsZero() {
		s.Listed = now // the first window was a listing
	}
	if s.Listing == nil && now.Sub(s.Compared) >= f.Compare {
		theirs, ours, err := f.counts(ctx, typ)
		if err != nil {
			return err
		}
		s.Compared = now
		if theirs >= 0 && theirs-ours != s.Difference {
			s.Unequal++
		} else {
			s.Unequal = 0
		}
		if err := f.keep(ctx, typ, s, inbox.Asked{}); err != nil {
			return err
		}
	}
	if s.Listing == nil && (s.Unequal >= unequalTwice || now.Sub(s.Listed) >= f.List) {
		if s.Unequal > 0 {
			f.log().Info("the server's count differs from what was taken; its ids are listed", "type", typ)
		}
		s.Listing, s.Round = &listing{Began: now}, s.Round+1
	}
	if s.Listing == nil {
		return nil
	}
	if err := f.list(ctx, typ, s); err != nil {
		return err
	}
	return f.vanished(ctx, typ, s)
}

func (f *Feed) counts(ctx context.Context, typ string) (theirs, ours int, err error) {
	if theirs, err = f.total(ctx, typ, url.Values{}); err != nil {
		return 0, 0, err
	}
	ours, err = f.Store.Count(ctx, f.Source, typ, time.Time{}, time.Time{})
	return theirs, ours, err
}

// list marks what the server lists as seen, and takes what is not known here as
// it is listed.
func (f *Feed) list(ctx context.Context, typ string, s *typeState) error {
	for l := s.Listing; !l.Told; {
		address := l.Next
		if address == "" {
			address = f.server.At(typ, url.Values{"_elements": {"id,meta"}, "_count": {strconv.Itoa(f.Page)}})
		}
		p, err := f.page(ctx, typ, address)
		if peer.IsGone(err) && l.Next != "" {
			l.Next, l.Pages = "", 0
			return errors.Join(errPages, f.keep(ctx, typ, s, inbox.Asked{}))
		}
		if err != nil {
			return err
		}
		ids := make([]string, len(p.all))
		for i, x := range p.all {
			ids[i] = x.id
		}
		known, err := f.Store.Known(ctx, f.Source, typ, ids)
		if err != nil {
			return err
		}
		var seen []string
		var fresh []found
		for _, x := range p.all {
			k, had := known[x.id]
			if had {
				seen = append(seen, x.id)
			}
			if had && !x.at.After(k.Updated) || !x.at.Before(s.Upto) {
				continue // what changed since is in the next window
			}
			x, err := f.one(ctx, typ, x.id)
			if peer.IsGone(err) {
				continue
			}
			if err != nil {
				return err
			}
			fresh = append(fresh, x)
		}
		taken, err := f.take(ctx, typ, s.Round, fresh, l.Began)
		if err != nil {
			return err
		}
		if len(fresh) > 0 {
			f.log().Warn("resources were missing here and are taken now", "type", typ, "count", len(fresh))
			f.count(func(s *Status) { s.Missed += int64(len(fresh)) })
		}
		taken.Seen = seen
		l.Next, l.Told = p.next, p.next == "" || l.Pages >= maxPages
		l.Pages++
		if err := f.keep(ctx, typ, s, taken); err != nil {
			return err
		}
	}
	return nil
}

// vanished asks for each resource that the listing did not hold, and deletes
// what the server says it does not have.
func (f *Feed) vanished(ctx context.Context, typ string, s *typeState) error {
	if err := f.plausible(ctx, typ, s.Round); err != nil {
		return err
	}
	for l := s.Listing; ; {
		all, err := f.Store.Unseen(ctx, f.Source, typ, s.Round, l.After, unseenPage)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			break
		}
		var found []found
		for _, k := range all {
			x, err := f.one(ctx, typ, k.ID)
			if peer.IsGone(err) {
				x, err = gone(k, f.server.Clock().Truncate(time.Second)), nil
			}
			if err != nil {
				return err
			}
			found = append(found, x)
		}
		taken, err := f.take(ctx, typ, s.Round, found, l.Began)
		if err != nil {
			return err
		}
		l.After = all[len(all)-1].ID
		if err := f.keep(ctx, typ, s, taken); err != nil {
			return err
		}
	}
	theirs, ours, err := f.counts(ctx, typ)
	if err != nil {
		return err
	}
	s.Listing, s.Listed, s.Unequal, s.Difference = nil, f.server.Clock(), 0, 0
	if theirs >= 0 {
		s.Difference = theirs - ours
	}
	return f.keep(ctx, typ, s, inbox.Asked{})
}

// gone is the deletion of what is known, not before its last change.
func gone(k inbox.Known, at time.Time) found {
	if at.Before(k.Updated) {
		at = k.Updated
	}
	return found{id: k.ID, at: at}
}

// plausible refuses to delete most of what there is: a server that lost its
// data, or shows it to us no more, looks like that.
func (f *Feed) plausible(ctx context.Context, typ string, round int64) error {
	ours, err := f.Store.Count(ctx, f.Source, typ, time.Time{}, time.Time{})
	if err != nil {
		return err
	}
	after, n := "", 0
	for n <= max(manyGone, ours/2) {
		all, err := f.Store.Unseen(ctx, f.Source, typ, round, after, 1000)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return nil
		}
		n += len(all)
		after = all[len(all)-1].ID
	}
	return errVanished
}
