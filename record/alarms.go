package record

import (
	"context"
	"time"

	"firebreak/alarm"
	"firebreak/internal/sqldb"
)

// Alarms keeps what staff were told; it is an alarm.Book. And it knows how things
// are, for nobody who looks: only figures of feeds, and emergency access without
// the patient and without the words that were written.
type Alarms struct{ r *Record }

// Alarms is the watcher's way to the record.
func (r *Record) Alarms() Alarms { return Alarms{r} }

const (
	raisedAlarms = `
		SELECT a.key, a.whom, a.text, a.since, COALESCE(t.channel, ''), COALESCE(t.told, 0)
		FROM alarm a LEFT JOIN alarm_told t ON t.key = a.key ORDER BY a.since, a.key, t.channel`
	beginAlarm = `INSERT INTO alarm (key, whom, text, since) VALUES ($1, $2, $3, $4) ON CONFLICT (key) DO NOTHING`
	claimAlarm = `
		INSERT INTO alarm_told (key, channel, claimed, told) VALUES ($1, $2, $3, 0)
		ON CONFLICT (key, channel) DO UPDATE SET claimed = excluded.claimed WHERE alarm_told.told = 0 AND alarm_told.claimed <= $4`
	toldAlarm   = `UPDATE alarm_told SET told = 1 WHERE key = $1 AND channel = $2`
	endAlarm    = `DELETE FROM alarm WHERE key = $1`
	forgetTells = `DELETE FROM alarm_told WHERE key = $1`

	// claimTime is how long a claim keeps others away: longer than any channel may
	// take, and no longer than the next look is away for whoever failed.
	claimTime = time.Minute
)

// Raised are the causes that were begun and not ended, the oldest first.
func (a Alarms) Raised(ctx context.Context) (all []alarm.Raised, err error) {
	err = a.r.db.Each(ctx, func(scan func(...any) error) error {
		var key, whom, text, channel string
		var since, told int64
		if err := scan(&key, &whom, &text, &since, &channel, &told); err != nil {
			return err
		}
		if len(all) == 0 || all[len(all)-1].Key != key {
			all = append(all, alarm.Raised{Cause: alarm.Cause{Key: key, To: alarm.Whom(whom), Text: text, Since: fromMicros(since)}, Told: map[string]bool{}})
		}
		if told == 1 {
			all[len(all)-1].Told[channel] = true
		}
		return nil
	}, raisedAlarms)
	return all, failed("read the alarms", err)
}

// Begin notes a cause.
func (a Alarms) Begin(ctx context.Context, c alarm.Cause) error {
	return failed("note an alarm", a.r.writer.exec(ctx, beginAlarm, c.Key, string(c.To), c.Text, micros(c.Since)))
}

// Claim gives the right to tell of a cause; see alarm.Book.
func (a Alarms) Claim(ctx context.Context, key, channel string, now time.Time) (bool, error) {
	n, err := a.changed(ctx, sqldb.Stmt{SQL: claimAlarm, Args: []any{key, channel, micros(now), micros(now.Add(-claimTime))}})
	return n > 0, failed("claim an alarm", err)
}

// Told notes that a channel has told of a cause.
func (a Alarms) Told(ctx context.Context, key, channel string) error {
	return failed("note an alarm", a.r.writer.exec(ctx, toldAlarm, key, channel))
}

// End forgets a cause; false when another did.
func (a Alarms) End(ctx context.Context, key string) (bool, error) {
	n, err := a.changed(ctx, sqldb.Stmt{SQL: endAlarm, Args: []any{key}}, sqldb.Stmt{SQL: forgetTells, Args: []any{key}})
	return n > 0, failed("end an alarm", err)
}

// changed runs statements in one transaction and tells how much the first changed.
func (a Alarms) changed(ctx context.Context, stmts ...sqldb.Stmt) (int64, error) {
	return give(ctx, a.r.writer, func(ctx context.Context, tx *sqldb.Tx) (first int64, err error) {
		for i, s := range stmts {
			n, err := tx.Exec(ctx, s.SQL, s.Args...)
			if err != nil {
				return 0, err
			}
			if i == 0 {
				first = n
			}
		}
		return first, nil
	})
}

// Feeds is how each source does that ever sent.
func (a Alarms) Feeds(ctx context.Context) ([]FeedState, error) {
	all, _, err := a.r.FeedStates(ctx, a.r.c.Now())
	return all, err
}

// Emergencies are the uses of emergency access that no officer has closed,
// without the words that whoever used it wrote.
func (a Alarms) Emergencies(ctx context.Context) ([]Alert, error) {
	all, err := a.r.alerts(ctx, openAlerts)
	for i := range all {
		all[i].Words = ""
	}
	return all, err
}
