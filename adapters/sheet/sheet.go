// Package sheet makes HL7 v2 messages of the rows of a CSV file, by a map from
// columns to fields: for those who can export a list and nothing else.
//
// A message holds its whole row besides, a ZCV segment a cell, so that what no
// field takes is not lost and an operator sees what came.
//
// Source: RFC 4180; HL7 v2.5.1 chapters 3 (ADT) and 10 (SIU).
package sheet

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"golang.org/x/text/encoding/charmap"

	"firebreak/adapters/hl7"
)

// Map says what becomes of a row. It is read from configuration and checked by
// Plan.
type Map struct {
	// Message is MSH-9 of each row: "ADT^A31", "SIU^S12".
	Message string `json:"message"`
	// Event gives the event by a cell instead: {"column": "Status", "values": {"Cancelled": "S15"}}.
	// A cell that values does not name leaves Message's.
	Event *Event `json:"event,omitzero"`
	// Columns gives the field of each column by its header: "MRN": "PID-3.1", or
	// with more to say {"to": "PID-7", "as": "DD/MM/YYYY"}. Other columns stay in
	// the message, where nothing reads them.
	Columns map[string]Column `json:"columns"`
	// Constants are fields that are the same in every row: "PID-3.4": "CLINIC".
	Constants map[string]string `json:"constants,omitzero"`
	// Separator is the character between cells. Default ",".
	Separator string `json:"separator,omitzero"`
}

// Event is a column that says what happened.
type Event struct {
	Column string            `json:"column"`
	Values map[string]string `json:"values"`
}

// Column is where a column's cells go.
type Column struct {
	// To is the path of a field or component: "PID-5.1", "NK1[2]-2.1".
	To string `json:"to"`
	// As is how the cells write a time: YYYY, MM, DD, hh, mm, ss and what stands
	// between. Columns of one path are read together, a space between them, in
	// the order of the file: one has the day, the next the hour.
	As string `json:"as,omitzero"`
	// Values translates cells: "Female": "F". A cell that it does not name is a fault.
	Values map[string]string `json:"values,omitzero"`
}

// order is where segments stand in the messages that a row can be.
var order = map[string][]string{
	"ADT": {"MSH", "EVN", "PID", "PD1", "NK1", "PV1", "PV2", "OBX", "AL1", "DG1", "PR1", "GT1", "IN1"},
	"SIU": {"MSH", "SCH", "TQ1", "NTE", "PID", "PD1", "PV1", "PV2", "OBX", "DG1", "RGS", "AIS", "AIG", "AIL", "AIP"},
}

// target is a field that cells go to.
type target struct {
	path    string
	columns []string // headers
	column  Column
}

// Plan is a Map that can be followed.
type Plan struct {
	m         Map
	comma     rune
	blank     *hl7.Message // of all segments, with the constants
	constants []string     // paths, sorted
}

// Plan checks the map. Its errors name the key.
func (m Map) Plan() (*Plan, error) {
	p := &Plan{m: m, comma: ','}
	code, event, ok := strings.Cut(m.Message, "^")
	if !ok || order[code] == nil || event == "" {
		return nil, fmt.Errorf("message must be ADT or SIU with an event, like SIU^S12, not %q", m.Message)
	}
	if m.Separator != "" {
		r, n := utf8.DecodeRuneInString(m.Separator)
		if n != len(m.Separator) || r == '"' || r == '\r' || r == '\n' || r == utf8.RuneError {
			return nil, errors.New("separator must be one character, no quote and no line end")
		}
		p.comma = r
	}
	if m.Event != nil && (m.Event.Column == "" || len(m.Event.Values) == 0) {
		return nil, errors.New("event needs column and values")
	}
	seen := map[string]bool{}
	segments := map[string]int{"MSH": 1, "PID": 1} // and how many
	if code == "SIU" {
		segments["SCH"], segments["RGS"] = 1, 1
	}
	use := func(key, path string) error {
		at, err := hl7.ParsePath(path)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		switch {
		case !slices.Contains(order[code], at.Segment):
			return fmt.Errorf("%s: a row that becomes %s has no segment %s", key, code, at.Segment)
		case at.Segment == "MSH" && at.Field < 3 || at.Segment == "MSH" && slices.Contains([]int{7, 9, 10, 12, 18}, at.Field):
			return fmt.Errorf("%s: MSH-%d is made here", key, at.Field)
		case at.Occurrence > maxSegments:
			return fmt.Errorf("%s: at most %d of a segment", key, maxSegments)
		}
		segments[at.Segment] = max(segments[at.Segment], at.Occurrence)
		seen[fmt.Sprintf("%s-%d", at.Segment, at.Field)] = true
		return nil
	}
	for _, header := range slices.Sorted(maps.Keys(m.Columns)) {
		c := m.Columns[header]
		if err := use("columns: "+header, c.To); err != nil {
			return nil, err
		}
		if c.As != "" {
			if _, err := layout(c.As); err != nil {
				return nil, fmt.Errorf("columns: %s: %w", header, err)
			}
		}
	}
	p.constants = slices.Sorted(maps.Keys(m.Constants))
	for _, path := range p.constants {
		if err := use("constants", path); err != nil {
			return nil, err
		}
	}
	switch {
	case !seen["PID-3"]:
		return nil, errors.New("columns: none is the patient's number, PID-3")
	case code == "SIU" && !seen["SCH-1"] && !seen["SCH-2"]:
		return nil, errors.New("columns: none is the appointment's number, SCH-1 or SCH-2: a change would be another appointment")
	}
	return p, p.prepare(code, segments)
}

// maxSegments is how many of one kind a row can become.
const maxSegments = 9

// prepare makes the message that every row begins with.
func (p *Plan) prepare(code string, segments map[string]int) error {
	var b strings.Builder
	for _, name := range order[code] {
		for n := range segments[name] {
			switch name {
			case "MSH":
				b.WriteString(`MSH|^~\&|CSV||||||` + p.m.Message + "||P|2.5.1||||||UNICODE UTF-8\r")
			case "PID", "RGS", "AIS", "AIG", "AIL", "AIP", "NK1", "AL1", "DG1", "NTE":
				fmt.Fprintf(&b, "%s|%d\r", name, n+1) // set ids
			default:
				b.WriteString(name + "|\r")
			}
		}
	}
	blank, err := hl7.Parse([]byte(b.String()))
	for _, path := range p.constants {
		if err == nil {
			blank, err = blank.With(path, p.m.Constants[path])
		}
	}
	p.blank = blank
	return err
}

// Row is one row, as a message or as what is wrong with it.
type Row struct {
	Line    int // of the file, counted from 1
	Message []byte
	Fault   error // names column and reason, never a value
}

// maxCell is the longest cell, in bytes; maxRow the most cells.
const (
	maxCell = 64 << 10
	maxRow  = 1000
)

// Rows reads a file. A row with a fault stops no other; a file without the map's
// columns is one fault, of its first line. changed is when the file was written:
// it dates the messages and is part of their control ids, so that the same row of
// another day is another message and the same file again is not.
func (p *Plan) Rows(r io.Reader, changed time.Time) iter.Seq[Row] {
	return func(yield func(Row) bool) {
		text, err := decoded(r)
		if err != nil {
			yield(Row{Line: 1, Fault: err})
			return
		}
		in := csv.NewReader(strings.NewReader(text))
		in.Comma, in.FieldsPerRecord, in.TrimLeadingSpace = p.comma, -1, true
		headers, err := in.Read()
		if err != nil {
			yield(Row{Line: 1, Fault: errors.New("there is no line of headers")})
			return
		}
		targets, event, err := p.match(headers)
		if err != nil {
			yield(Row{Line: 1, Fault: err})
			return
		}
		for n := 1; ; n++ {
			cells, err := in.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			row := Row{}
			if err == nil {
				row.Line, _ = in.FieldPos(0)
				if slices.IndexFunc(cells, func(s string) bool { return strings.TrimSpace(s) != "" }) < 0 {
					continue
				}
				row.Message, row.Fault = p.row(headers, cells, targets, event, n, changed)
			} else {
				bad, ok := errors.AsType[*csv.ParseError](err)
				if !ok {
					yield(Row{Fault: err})
					return
				}
				row.Line, row.Fault = bad.StartLine, bad.Err
			}
			if !yield(row) {
				return
			}
		}
	}
}

// maxFile is the longest file.
const maxFile = 64 << 20

// decoded reads UTF-8, and what is not that as Windows-1252.
func decoded(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxFile {
		return "", fmt.Errorf("the file is longer than %d MB", maxFile>>20)
	}
	if utf8.Valid(b) {
		return strings.TrimPrefix(string(b), "\ufeff"), nil
	}
	b, err = charmap.Windows1252.NewDecoder().Bytes(b)
	return string(b), err
}

// match finds the map's columns among the headers.
func (p *Plan) match(headers []string) (targets []target, event int, err error) {
	event = -1
	at := map[string]int{}
	for i, h := range headers {
		headers[i] = strings.TrimSpace(h)
		if first, twice := at[headers[i]]; twice && headers[i] != "" { // where no line of headers is, they are values
			return nil, 0, fmt.Errorf("columns %d and %d are called alike", first+1, i+1)
		}
		at[headers[i]] = i
	}
	for _, h := range slices.Sorted(maps.Keys(p.m.Columns)) {
		if _, ok := at[h]; !ok {
			return nil, 0, fmt.Errorf("there is no column %q", h)
		}
	}
	if p.m.Event != nil {
		i, ok := at[p.m.Event.Column]
		if !ok {
			return nil, 0, fmt.Errorf("there is no column %q", p.m.Event.Column)
		}
		event = i
	}
	for _, h := range headers {
		c, ok := p.m.Columns[h]
		if !ok {
			continue
		}
		i := slices.IndexFunc(targets, func(t target) bool { return t.path == c.To })
		if i < 0 {
			targets = append(targets, target{path: c.To, column: c, columns: []string{h}})
			continue
		}
		t := &targets[i]
		if (t.column.As == "") != (c.As == "") || t.column.Values != nil || c.Values != nil {
			return nil, 0, fmt.Errorf("columns: %s and %s go to %s: both need as, and no values", t.columns[0], h, c.To)
		}
		t.columns = append(t.columns, h)
		if c.As != "" {
			t.column.As += " " + c.As
		}
	}
	for i := range targets {
		if as := targets[i].column.As; as != "" {
			l, err := layout(as)
			if err == nil && l[1] == "" {
				err = fmt.Errorf("as %q names no year", as)
			}
			if err != nil {
				return nil, 0, fmt.Errorf("columns: %s: %w", targets[i].columns[0], err)
			}
		}
	}
	return targets, event, nil
}

// row makes a message of one row.
func (p *Plan) row(headers, cells []string, targets []target, event, n int, changed time.Time) ([]byte, error) {
	if len(cells) != len(headers) {
		return nil, fmt.Errorf("there are %d cells below %d headers", len(cells), len(headers))
	}
	if len(cells) > maxRow {
		return nil, fmt.Errorf("there are more than %d cells", maxRow)
	}
	cell := map[string]string{}
	for i, c := range cells {
		if len(c) > maxCell {
			return nil, fmt.Errorf("%s: the cell is longer than %d kB", headers[i], maxCell>>10)
		}
		cell[headers[i]] = strings.TrimSpace(c)
	}
	m, filled := p.blank, map[string]bool{}
	set := func(path, text string) (err error) {
		m, err = m.With(path, text)
		return err
	}
	for _, t := range targets {
		text, err := t.value(cell)
		if err != nil {
			return nil, err
		}
		if text == "" {
			continue
		}
		if err := set(t.path, text); err != nil {
			return nil, fmt.Errorf("%s: %w", t.columns[0], err)
		}
		if at, err := hl7.ParsePath(t.path); err == nil {
			filled[fmt.Sprint(at.Segment, at.Occurrence)] = true
		}
	}
	if event >= 0 {
		if to, ok := p.m.Event.Values[strings.TrimSpace(cells[event])]; ok {
			if err := set("MSH-9.2", to); err != nil {
				return nil, err
			}
		}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %q", changed.UnixNano(), n, cells))
	if err := errors.Join(set("MSH-7", changed.UTC().Format("20060102150405-0700")), set("MSH-10", hex.EncodeToString(sum[:10]))); err != nil {
		return nil, err
	}
	return whole(m, filled, headers, cells), nil
}

// whole leaves out the segments that no cell filled and adds the row as it came.
func whole(m *hl7.Message, filled map[string]bool, headers, cells []string) []byte {
	var b []byte
	nth := map[string]int{}
	for line := range bytes.SplitAfterSeq(m.Wire(), []byte{'\r'}) {
		if len(line) < 3 {
			continue
		}
		name := string(line[:3])
		nth[name]++
		if name == "MSH" || name == "PID" || name == "SCH" || filled[fmt.Sprint(name, nth[name])] {
			b = append(b, line...)
		}
	}
	for i, c := range cells {
		b = fmt.Appendf(b, "ZCV|%d|%s|%s\r", i+1, hl7.Standard.Encode(headers[i]), hl7.Standard.Encode(c))
	}
	return b
}

// value is what goes to the target's field. Errors name the column.
func (t target) value(cell map[string]string) (string, error) {
	var all []string
	for _, h := range t.columns {
		if c := cell[h]; c != "" {
			all = append(all, c)
		}
	}
	text := strings.Join(all, " ")
	if text == "" {
		return "", nil
	}
	if t.column.As != "" {
		at, err := stamp(t.column.As, text)
		if err != nil {
			return "", fmt.Errorf("%s: %w", strings.Join(t.columns, " and "), err)
		}
		return at, nil
	}
	if t.column.Values != nil {
		to, ok := t.column.Values[text]
		if !ok {
			return "", fmt.Errorf("%s: values does not name what is in the cell", t.columns[0])
		}
		return to, nil
	}
	return text, nil
}

// UnmarshalJSON reads a path, or an object that says more.
func (c *Column) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &c.To)
	}
	type plain Column
	return json.Unmarshal(b, (*plain)(c), json.RejectUnknownMembers(true))
}
