package viewer

import (
	"regexp"
	"strconv"
	"strings"

	"firebreak/inbox"
	"firebreak/record"
)

const (
	shownResources = 60  // of a message are told value by value, the others named
	openResources  = 8   // more are folded
	shownValue     = 160 // characters of a value
)

// segmentLine is a line of a message's text, and of a v2 message the name by
// which a place links to it: "PID", "OBX.2".
type segmentLine struct {
	ID    string
	Parts []part
}

// linesOf cuts a message's text into lines.
func linesOf(parts []part, kind inbox.Kind) (all []segmentLine) {
	seen := map[string]int{}
	begins := true
	for _, p := range parts {
		for piece := range strings.Lines(p.Text) {
			if begins {
				all = append(all, segmentLine{})
				if kind == inbox.HL7v2 && segmentName.MatchString(piece) {
					name := piece[:3]
					seen[name]++
					all[len(all)-1].ID = segmentID(name, seen[name])
				}
			}
			begins = strings.HasSuffix(piece, "\n")
			l := &all[len(all)-1]
			l.Parts = append(l.Parts, part{strings.TrimSuffix(piece, "\n"), p.Marked})
		}
	}
	return all
}

var (
	segmentName = regexp.MustCompile(`^[A-Z][A-Z0-9]{2}\b`)
	segmentOf   = regexp.MustCompile(`^([A-Z][A-Z0-9]{2})(?:\[([0-9]+)\])?-`) // of a place, "OBX[2]-5[3]"
)

func segmentID(name string, occurrence int) string {
	if occurrence < 2 {
		return name
	}
	return name + "." + strconv.Itoa(occurrence)
}

// spot is a field, and the line of the text that it stands in.
type spot struct{ Name, At string }

func placesOf(names []string) (all []spot) {
	for _, name := range names {
		p := spot{Name: name}
		if m := segmentOf.FindStringSubmatch(name); m != nil {
			n, _ := strconv.Atoi(m[2])
			p.At = segmentID(m[1], n)
		}
		all = append(all, p)
	}
	return all
}

// tracedBlock is a resource that a message becomes.
type tracedBlock struct {
	Name   string // "Patient/abc"
	Called []spot
	Rows   []tracedRow
	Open   bool
}

type tracedRow struct {
	Element []string // "name.", "family"
	Text    string
	From    []spot
}

// blocksOf are the resources as the page shows them, and those it names only.
func blocksOf(all []record.Traced) (blocks []tracedBlock, more []string) {
	for i, r := range all {
		if i >= shownResources {
			more = append(more, r.Ref.String())
			continue
		}
		b := tracedBlock{Name: r.Ref.String(), Called: placesOf(r.Called), Open: len(all) <= openResources}
		for _, v := range r.Values {
			text := []rune(v.Text)
			if len(text) > shownValue {
				text = append(text[:shownValue], '…')
			}
			b.Rows = append(b.Rows, tracedRow{strings.SplitAfter(strings.TrimPrefix(v.Element, r.Ref.Type+"."), "."), string(text), placesOf(v.From)})
		}
		blocks = append(blocks, b)
	}
	return blocks, more
}
