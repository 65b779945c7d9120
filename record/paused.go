package record

import (
	"context"
	"time"

	"firebreak/inbox"
)

// Pause is why what comes from a feed is kept and not applied.
type Pause struct {
	Who   string
	Since time.Time
}

const (
	allPaused   = `SELECT source, who, since FROM paused`
	pauseFeed   = `INSERT INTO paused (source, who, since) VALUES ($1, $2, $3) ON CONFLICT (source) DO NOTHING`
	resumeFeed  = `DELETE FROM paused WHERE source = $1`
	ofPausedOne = `SELECT COUNT(*) FROM inbox i JOIN paused p ON p.source = i.source WHERE i.id = $1`
)

// Paused are the feeds that are paused, by name.
func (r *Record) Paused(ctx context.Context) (map[string]Pause, error) {
	all := map[string]Pause{}
	err := r.db.Each(ctx, func(scan func(...any) error) error {
		var source string
		var p Pause
		var since int64
		err := scan(&source, &p.Who, &since)
		p.Since = fromMicros(since)
		all[source] = p
		return err
	}, allPaused)
	return all, failed("read which feeds are paused", err)
}

// Pause keeps that a feed is paused, since now and by whom; one that is stays as it is.
func (r *Record) Pause(ctx context.Context, source, who string) error {
	return failed("pause a feed", r.writer.exec(ctx, pauseFeed, source, who, micros(r.c.Now())))
}

// Resume ends it.
func (r *Record) Resume(ctx context.Context, source string) error {
	return failed("resume a feed", r.writer.exec(ctx, resumeFeed, source))
}

// OfPaused tells whether a message came from a feed that is paused.
func (r *Record) OfPaused(ctx context.Context, id inbox.ID) (bool, error) {
	var n int64
	err := r.db.QueryRow(ctx, ofPausedOne, int64(id)).Scan(&n)
	return n > 0, failed("read a message's feed", err)
}
