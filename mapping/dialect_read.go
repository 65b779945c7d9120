package mapping

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"firebreak/adapters/hl7"
)

// maxDialect bounds a dialect's text, bytes.
const maxDialect = 1 << 20

// ReadDialect reads a dialect, one rule a line. "#" begins a note.
//
//	dialect NAME                           the first line
//	table NAME                             codes, on the indented lines below it:
//	    1 -> SPS | Spouse | HL70063        theirs -> code, and its name and system where they have room
//	    *  -> UNK                          any other code
//	PID-8 through NAME                     each code of the field is looked up
//	PV1-44 from ZU1-1                      copied where it is sent
//	PID-3.5 = NH when PID-3.4 = NHS        a constant, under a condition
//	clear PV1-10
//	ZU1-2 -> Encounter.extension(https://example.org/intended).valueCode
//	ZFD-2 -> Observation(http://loinc.org|11884-4|Gestational age).valueQuantity(wk)
//
// A path is hl7.ParsePath's; without a number in brackets it means each segment
// of the name, and each repetition. A condition is PATH = VALUE {or VALUE},
// PATH != VALUE, PATH sent or PATH empty; "and" joins conditions. Values with
// blanks stand in quotes. Rules are applied from top to bottom, each to what
// those above it made; FHIR is said last.
//
// The error joins one for each line that is wrong, "line 7: ...".
func ReadDialect(text string) (*Dialect, error) {
	if len(text) > maxDialect {
		return nil, fmt.Errorf("line 1: a dialect of more than %d bytes", maxDialect)
	}
	r := reading{d: &Dialect{segments: map[string]bool{}, systems: map[string]bool{}}, tables: map[string]*codeTable{}}
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		n++
		if err := r.line(n, strings.TrimRight(line, "\r\n")); err != nil {
			r.errs = append(r.errs, fmt.Errorf("line %d: %w", n, err))
		}
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return r.d, nil
}

// reading is a dialect that is being read.
type reading struct {
	d      *Dialect
	tables map[string]*codeTable
	table  *codeTable // whose entries may follow
	lookup []awaited
	said   []string // what counts for the version
	errs   []error
}

// awaited is a table that a rule names; it may come later.
type awaited struct {
	rule int // in d.fields
	name string
}

func (r *reading) line(n int, line string) error {
	if !utf8.ValidString(line) {
		return errors.New("not UTF-8")
	}
	words, err := wordsOf(line)
	if err != nil || len(words) == 0 {
		return err
	}
	text := make([]string, len(words))
	for i, w := range words {
		if text[i] = w.text; w.quoted {
			text[i] = `"` + w.text + `"`
		}
	}
	if unicode.IsSpace(rune(line[0])) {
		r.said = append(r.said, "\t"+strings.Join(text, " "))
		return r.entry(line)
	}
	r.table = nil
	first := len(r.said) == 0
	r.said = append(r.said, strings.Join(text, " "))
	switch {
	case words[0].text == "dialect" && first:
		if len(words) != 2 || !isWord(words[1].text) {
			return errors.New("a dialect's name is one word of letters, digits and hyphens")
		}
		r.d.Name = words[1].text
		return nil
	case first:
		return errors.New(`a dialect begins with "dialect NAME"`)
	case words[0].text == "table":
		return r.begin(n, words[1:])
	}
	return r.rule(n, words)
}

func (r *reading) begin(n int, words []word) error {
	if len(words) != 1 || !isWord(words[0].text) {
		return errors.New("a table's name is one word of letters, digits and hyphens")
	}
	name := words[0].text
	r.table = &codeTable{name: name, line: n, codes: map[string]entry{}}
	if r.tables[name] != nil {
		return fmt.Errorf("the table %s is there twice", name)
	}
	r.tables[name] = r.table
	return nil
}

// entry reads a line of a table: "theirs -> code | name | system".
func (r *reading) entry(line string) error {
	if r.table == nil {
		return errors.New("an indented line belongs to a table, and there is none above it")
	}
	theirs, ours, ok := strings.Cut(uncommented(line), "->")
	if !ok {
		return errors.New("a line of a table is THEIRS -> CODE | NAME | SYSTEM")
	}
	theirs = unquoted(theirs)
	cells := strings.Split(ours, "|")
	if len(cells) > 3 || theirs == "" {
		return errors.New("a line of a table is THEIRS -> CODE | NAME | SYSTEM")
	}
	var e entry
	for i, into := range []*string{&e.code, &e.display, &e.system} {
		if i < len(cells) {
			*into = unquoted(cells[i])
		}
	}
	if e.code == "" && (e.display != "" || e.system != "") {
		return errors.New("a name or a system without a code")
	}
	if strings.Contains(e.system, ":") {
		if !isURI(e.system) {
			return fmt.Errorf("the system %s is no URI", e.system)
		}
		r.d.systems[e.system] = true
	}
	r.table.named = r.table.named || e.display != "" || e.system != ""
	if theirs == "*" {
		if r.table.other != nil {
			return errors.New("* is there twice")
		}
		r.table.other = &e
		return nil
	}
	if _, twice := r.table.codes[theirs]; twice {
		return fmt.Errorf("%s is there twice", theirs)
	}
	r.table.codes[theirs] = e
	return nil
}

// rule reads a rule.
func (r *reading) rule(n int, words []word) error {
	when, err := conditions(&words)
	if err != nil {
		return err
	}
	if words[0].text == "clear" {
		if len(words) != 2 {
			return errors.New("clear takes one field")
		}
		p, err := targetOf(words[1])
		if err == nil {
			r.field(fieldRule{line: n, target: p, when: when})
		}
		return err
	}
	if len(words) != 3 {
		return errors.New(`a rule is PATH through TABLE, PATH from PATH, PATH = VALUE, clear PATH, or PATH -> ELEMENT; a value with blanks stands in quotes`)
	}
	verb := words[1].text
	if verb == "->" {
		p, err := pathOf(words[0])
		if err != nil {
			return err
		}
		e := elementRule{line: n, source: p, when: when}
		if err := e.target(words[2].text); err != nil {
			return err
		}
		r.d.elements = append(r.d.elements, e)
		r.d.segments[p.Segment] = true
		return nil
	}
	p, err := targetOf(words[0])
	if err != nil {
		return err
	}
	rule := fieldRule{line: n, target: p, when: when}
	switch verb {
	case "through":
		r.lookup = append(r.lookup, awaited{len(r.d.fields), words[2].text})
	case "from":
		if rule.source, err = pathOf(words[2]); err != nil {
			return err
		}
		if rule.source == rule.target {
			return errors.New("a field from itself")
		}
	case "=":
		if rule.constant = words[2].text; clean(rule.constant) == "" {
			return errors.New(`an empty value: say "clear" instead`)
		}
	default:
		return fmt.Errorf("%q is no rule: through, from, = or ->", verb)
	}
	r.field(rule)
	return nil
}

func (r *reading) field(rule fieldRule) {
	r.d.fields = append(r.d.fields, rule)
	for _, p := range []fieldPath{rule.target, rule.source} {
		r.d.segments[p.Segment] = r.d.segments[p.Segment] || p.Segment != ""
	}
	r.d.names = r.d.names || rule.target.Segment == "PID"
}

// conditions takes the words from "when" on off a rule.
func conditions(words *[]word) (all []condition, err error) {
	at := -1
	for i, w := range *words {
		if w.text == "when" && !w.quoted {
			at = i
			break
		}
	}
	if at < 0 {
		return nil, nil
	}
	rest := (*words)[at+1:]
	*words = (*words)[:at]
	if at == 0 {
		return nil, errors.New("a rule begins with a field, not with when")
	}
	for {
		if len(rest) < 2 {
			return nil, errors.New("a condition is PATH = VALUE, PATH != VALUE, PATH sent or PATH empty")
		}
		c := condition{}
		if c.path, err = pathOf(rest[0]); err != nil {
			return nil, err
		}
		verb := rest[1].text
		rest = rest[2:]
		switch verb {
		case "sent":
			c.kind = isSent
		case "empty":
			c.kind = isEmpty
		case "=", "!=":
			if verb == "!=" {
				c.kind = isNoneOf
			}
			for {
				if len(rest) == 0 {
					return nil, fmt.Errorf("%v %s: a value is missing", c.path, verb)
				}
				c.values, rest = append(c.values, clean(rest[0].text)), rest[1:]
				if len(rest) == 0 || rest[0].text != "or" || rest[0].quoted {
					break
				}
				rest = rest[1:]
			}
		default:
			return nil, fmt.Errorf("%q is no condition: =, !=, sent or empty", verb)
		}
		all = append(all, c)
		if len(rest) == 0 {
			return all, nil
		}
		if rest[0].text != "and" {
			return nil, fmt.Errorf(`%q after a condition: only "and" may follow`, rest[0].text)
		}
		rest = rest[1:]
	}
}

// end resolves the tables and makes the version.
func (r *reading) end() error {
	if len(r.said) == 0 {
		r.errs = append(r.errs, errors.New(`line 1: a dialect begins with "dialect NAME"`))
	}
	for _, a := range r.lookup {
		rule := &r.d.fields[a.rule]
		t := r.tables[a.name]
		switch {
		case t == nil:
			r.errs = append(r.errs, fmt.Errorf("line %d: there is no table %s", rule.line, a.name))
			continue
		case rule.target.Component > 0 && t.named:
			r.errs = append(r.errs, fmt.Errorf("line %d: the table %s gives names or systems, for which a component has no room", rule.line, a.name))
		}
		rule.table, t.used = t, true
	}
	for _, t := range r.tables {
		switch {
		case !t.used:
			r.errs = append(r.errs, fmt.Errorf("line %d: no rule goes through the table %s", t.line, t.name))
		case len(t.codes) == 0 && t.other == nil:
			r.errs = append(r.errs, fmt.Errorf("line %d: the table %s is empty", t.line, t.name))
		}
	}
	sum := sha256.Sum256([]byte(strings.Join(r.said, "\n")))
	r.d.Version = hex.EncodeToString(sum[:6])
	return errors.Join(r.errs...)
}

// The bounds of a path: a field beyond them is a slip of the keyboard.
const (
	farField = 200
	farRest  = 50
)

func pathOf(w word) (fieldPath, error) {
	p, err := hl7.ParsePath(w.text)
	if err != nil || w.quoted {
		return fieldPath{}, fmt.Errorf("%q is not a path such as PID-3.4 or OBX[2]-5[3].1", w.text)
	}
	if p.Field > farField || max(p.Occurrence, p.Repetition, p.Component, p.Subcomponent) > farRest {
		return fieldPath{}, fmt.Errorf("%s: no message reaches so far", w.text)
	}
	segment, field, _ := strings.Cut(w.text, "-")
	return fieldPath{Path: p, nth: strings.Contains(segment, "["), rep: strings.Contains(field, "[")}, nil
}

// targetOf is a path that a rule may write.
func targetOf(w word) (fieldPath, error) {
	p, err := pathOf(w)
	if err == nil && p.Segment == "MSH" && (p.Field <= 2 || p.Field == 18) {
		return p, fmt.Errorf("%s says how the message is read and cannot be changed", w.text)
	}
	return p, err
}

// word is a word of a line. Parentheses and quotes hold blanks together.
type word struct {
	text   string
	quoted bool
}

func wordsOf(line string) (all []word, err error) {
	line = uncommented(line)
	for {
		line = strings.TrimLeftFunc(line, unicode.IsSpace)
		if line == "" {
			return all, nil
		}
		if rest, ok := strings.CutPrefix(line, `"`); ok {
			text, after, closed := strings.Cut(rest, `"`)
			if !closed {
				return nil, errors.New("a quote is not closed")
			}
			all, line = append(all, word{text, true}), after
			continue
		}
		depth, end := 0, len(line)
		for i, c := range line {
			if c == '(' {
				depth++
			} else if c == ')' {
				depth--
			} else if unicode.IsSpace(c) && depth <= 0 {
				end = i
				break
			}
		}
		if depth > 0 {
			return nil, errors.New("a parenthesis is not closed")
		}
		all, line = append(all, word{line[:end], false}), line[end:]
	}
}

// uncommented is a line without the note at its end: a "#" at its beginning or
// behind a blank, outside quotes.
func uncommented(line string) string {
	quoted, blank := false, true
	for i, c := range line {
		if c == '"' {
			quoted = !quoted
		}
		if c == '#' && blank && !quoted {
			return line[:i]
		}
		blank = unicode.IsSpace(c)
	}
	return line
}

func unquoted(s string) string {
	s = strings.TrimSpace(s)
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	return clean(s)
}

// isWord tells whether s may be a name that stands in a URN.
func isWord(s string) bool {
	for _, c := range s {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return s != "" && len(s) <= 40
}
