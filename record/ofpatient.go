package record

import (
	"bytes"
	"cmp"
	"context"
	"slices"
)

const (
	ofNumber = messageLine + `WHERE i.id IN (
		SELECT DISTINCT message FROM said WHERE chart IN (SELECT chart FROM ident WHERE value = $4 OR value = $5 AND system = '?') AND message < $2
		ORDER BY message DESC LIMIT $3) ORDER BY i.id DESC`
	undoneAny = messageLine + `WHERE i.id IN (SELECT id FROM todo WHERE id < $2 ORDER BY id DESC LIMIT $3) ORDER BY i.id DESC`

	patientSteps = 10 // of messageStep messages, looked through for one page
)

// ofPatient finds the messages that told of whoever has a number, by the index of
// numbers and what each message said, and those among what is not done that hold
// it in their text. Below is where to go on. What was applied before there was a
// table of what messages said is found by its text alone.
func (o *Operations) ofPatient(ctx context.Context, q Sought, below int64) (found Found, err error) {
	head := int64(messageHead)
	if q.Text != "" {
		head = 1 << 30
	}
	number := bytes.ToLower([]byte(q.Patient))
	for range patientSteps {
		var page []Line
		var cut Line // both are known down to here
		read := func(text string, head int64, fits func(Line, []byte) bool, args ...any) error {
			var last Line
			n := 0
			err := o.r.db.Each(ctx, func(scan func(...any) error) error {
				l, body, err := scanLine(scan)
				if n++; err == nil && q.fits(l, body) && (q.Control == "" || l.ControlID == q.Control) && fits(l, body) {
					page = append(page, l)
				}
				last = l
				return err
			}, text, append([]any{head, below, int64(messageStep)}, args...)...)
			if n == messageStep && last.ID > cut.ID {
				cut = last
			}
			return failed("look for messages", err)
		}
		err := read(ofNumber, head, func(l Line, _ []byte) bool { return l.State != Pending && l.State != OnHold }, q.Patient, bareNumber(q.Patient))
		if err == nil {
			err = read(undoneAny, 1<<30, func(_ Line, body []byte) bool { return bytes.Contains(bytes.ToLower(body), number) })
		}
		if err != nil {
			return Found{}, err
		}
		slices.SortFunc(page, func(a, b Line) int { return cmp.Compare(b.ID, a.ID) })
		for _, l := range page {
			if l.ID < cut.ID {
				break
			}
			if found.Lines = append(found.Lines, l); len(found.Lines) == messageLines {
				found.Below, found.Back = l.ID, l.Received
				return found, nil
			}
		}
		found.Below, found.Back = cut.ID, cut.Received
		if below = int64(cut.ID); below == 0 {
			return found, nil
		}
	}
	return found, nil
}
