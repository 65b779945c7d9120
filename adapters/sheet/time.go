package sheet

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// parts are the words for times, as people write them, and as Go and HL7 do.
var parts = []struct{ word, goes, hl7 string }{
	{"YYYY", "2006", "2006"}, {"MMM", "Jan", "01"}, {"MM", "1", "01"}, {"DD", "2", "02"},
	{"hh", "15", "15"}, {"mm", "4", "04"}, {"ss", "5", "05"},
}

// layout reads how cells write a time: for time.Parse, and for HL7 to the
// precision that is there.
func layout(as string) (all [2]string, err error) {
	var goes strings.Builder
	has := map[string]bool{}
	for rest := as; rest != ""; {
		known := false
		for _, p := range parts {
			if after, ok := strings.CutPrefix(rest, p.word); ok {
				if has[p.hl7] {
					return all, fmt.Errorf("as %q names %s twice", as, p.word)
				}
				has[p.hl7], known, rest = true, true, after
				goes.WriteString(p.goes)
				break
			}
		}
		if known {
			continue
		}
		if c := rest[0]; c > 0x7f || c >= 'A' && c <= 'Z' && c != 'T' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' {
			return all, fmt.Errorf("as %q is not made of YYYY, MM, DD, hh, mm and ss", as)
		}
		goes.WriteByte(rest[0])
		rest = rest[1:]
	}
	out, open := "", true
	for _, p := range []string{"2006", "01", "02", "15", "04", "05"} {
		switch {
		case !has[p]:
			open = false
		case open:
			out += p
		}
	}
	all = [2]string{goes.String(), out}
	return all, nil
}

// errTime says what is wrong with a cell, and not what is in it.
var errTime = errors.New("the cell is no such time")

// stamp is a cell's time as HL7 writes it, without offset: the feed's zone holds.
// A text that ends before the layout does, at a blank, has the lesser precision.
func stamp(as, text string) (string, error) {
	for {
		l, err := layout(as)
		if err != nil {
			return "", err
		}
		at, err := time.Parse(l[0], text)
		if err == nil {
			return at.Format(l[1]), nil
		}
		i := strings.LastIndexByte(as, ' ')
		if i < 0 {
			return "", errTime
		}
		as = as[:i]
	}
}
