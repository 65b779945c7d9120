package label

import (
	"slices"
	"strings"
)

// where is the kind of place a text stands in; a rule may be limited to some.
type where uint16

const (
	inTest       where = 1 << iota // name of a test, report or order
	inDiagnosis                    // name of a condition or reason
	inMedication                   // name of a drug
	inVaccine                      // name of a vaccine
	inAllergy                      // what someone is allergic to
	inProcedure                    // name of a procedure
	inValue                        // a coded or short result
	inNote                         // free text
	inPlace                        // an organization, department or location
	inPerson                       // a person's name, or what may be one
	inTitle                        // title or type of a document
	inSpecimen                     // what a specimen is
	inOther
	everywhere = 1<<iota - 1
)

var places = map[string]where{
	"test": inTest, "diagnosis": inDiagnosis, "medication": inMedication, "vaccine": inVaccine,
	"allergy": inAllergy, "procedure": inProcedure, "value": inValue, "note": inNote, "place": inPlace,
	"person": inPerson, "title": inTitle, "specimen": inSpecimen, "other": inOther,
	"drug":  inMedication | inAllergy | inNote,
	"coded": inTest | inDiagnosis | inMedication | inAllergy | inProcedure | inValue | inTitle | inSpecimen | inOther,
}

// reach is how many words on each side of a phrase its conditions look at.
const reach = 12

// rule is one line of words: a phrase and what must hold around it.
type rule struct {
	label   Label
	name    string  // "hiv/words: viral load", for reasons
	with    []int32 // phrases of which one must be near
	without []int32 // phrases of which none may be near
	except  []int32 // phrases that the phrase itself may not be
	in      where
	upper   bool // written in capitals
	alone   bool // the text holds nothing else
}

// matcher finds phrases in words.
type matcher struct {
	classes  map[string]int32 // every pattern of a word: "hiv", "carcinom*", "*statin"
	exact    map[string]int32
	prefix   map[string]int32
	suffix   map[string]int32
	prefixes []int             // lengths in use, rising
	suffixes []int             //
	near     map[string]string // a word of [misspelt] less a letter, to the word
	fuzzy    map[string]bool   // words of [misspelt]
	phrases  map[string]int32  // text of a phrase to its number
	all      []phrase
	starts   [][]int32 // by class: phrases that begin with it
	rules    []rule
	byPhrase [][]int32     // by phrase: rules of which it is the phrase
	harmless []bool        // by phrase
	lone     []bool        // by phrase: harmless only when the text holds nothing else
	neutral  []bool        // by phrase: says nothing
	org      []bool        // by phrase: says that a name is an organization's
	free     chan *scratch // what nobody works with; a pool would lose what they know at each collection
}

type phrase struct{ words []int32 }

type found struct {
	phrase   int32
	from, to int32 // words
}

// hit is a rule that holds of a text, or a code that is listed.
type hit struct {
	rule     int32 // into matcher.rules; -1 for a code
	label    Label // of a code
	name     string
	below    string // where inside a concept
	evidence string
}

// verdict is what is known of a text.
type verdict struct {
	hits     []hit
	harmless bool // holds a word known to be harmless
	neutral  bool // holds a word that says nothing
	words    bool // holds a word at all
}

type scratch struct {
	words, joined words
	classes       [][]int32
	found         []found
	known         map[string][]int32 // classes of words met before
}

// maxFree is how many scratches wait for work.
const maxFree = 16

// maxKept is how much text a scratch may have held, in bytes, and be kept.
const maxKept = 64 << 10

// maxKnown bounds a scratch's known words; most texts are made of a few thousand.
const maxKnown = 4096

// of gives the classes that a word belongs to.
func (s *scratch) of(m *matcher, word []byte) []int32 {
	if c, ok := s.known[string(word)]; ok {
		return c
	}
	c := m.of(word, nil)
	if len(word) > 32 {
		return c
	}
	if s.known == nil || len(s.known) >= maxKnown {
		s.known = make(map[string][]int32, maxKnown/4)
	}
	s.known[string(word)] = c
	return c
}

func newMatcher() *matcher {
	m := &matcher{
		classes: map[string]int32{}, exact: map[string]int32{}, prefix: map[string]int32{}, suffix: map[string]int32{},
		near: map[string]string{}, fuzzy: map[string]bool{}, phrases: map[string]int32{},
	}
	m.free = make(chan *scratch, maxFree)
	return m
}

// class numbers a pattern of one word.
func (m *matcher) class(pattern string) int32 {
	if c, ok := m.classes[pattern]; ok {
		return c
	}
	c := int32(len(m.starts))
	m.classes[pattern] = c
	m.starts = append(m.starts, nil)
	switch {
	case strings.HasSuffix(pattern, "*"):
		p := pattern[:len(pattern)-1]
		m.prefix[p] = c
		m.prefixes = insert(m.prefixes, len(p))
	case strings.HasPrefix(pattern, "*"):
		p := pattern[1:]
		m.suffix[p] = c
		m.suffixes = insert(m.suffixes, len(p))
	default:
		m.exact[pattern] = c
	}
	return c
}

func insert(sorted []int, n int) []int {
	at, ok := slices.BinarySearch(sorted, n)
	if ok {
		return sorted
	}
	return slices.Insert(sorted, at, n)
}

// phrase numbers a phrase; "" when text holds no word.
func (m *matcher) phrase(text string) (int32, bool) {
	patterns := patternWords(text)
	if len(patterns) == 0 {
		return 0, false
	}
	key := strings.Join(patterns, " ")
	if n, ok := m.phrases[key]; ok {
		return n, true
	}
	n := int32(len(m.all))
	m.phrases[key] = n
	p := phrase{}
	for _, w := range patterns {
		p.words = append(p.words, m.class(w))
	}
	m.all = append(m.all, p)
	m.byPhrase = append(m.byPhrase, nil)
	m.harmless = append(m.harmless, false)
	m.lone = append(m.lone, false)
	m.neutral = append(m.neutral, false)
	m.org = append(m.org, false)
	m.starts[p.words[0]] = append(m.starts[p.words[0]], n)
	return n, true
}

// patternWords cuts a phrase of a rule as texts are cut, and keeps its stars.
func patternWords(text string) []string {
	var out []string
	for field := range strings.FieldsSeq(text) {
		head, tail := strings.HasPrefix(field, "*"), strings.HasSuffix(field, "*")
		var w words
		w.cut(strings.Trim(field, "*"), false)
		for i, x := range w.list {
			s := string(w.text(x))
			if head && i == 0 {
				s = "*" + s
			} else if tail && i == len(w.list)-1 {
				s += "*"
			}
			out = append(out, s)
		}
	}
	return out
}

// resemble lets a word of 7 letters or more be recognised with one letter
// missing, added, changed or swapped with its neighbour; the first must be right.
func (m *matcher) resemble(word string) {
	m.fuzzy[word] = true
	m.near[word] = word
	for i := 1; i < len(word); i++ {
		m.near[word[:i]+word[i+1:]] = word
	}
}

// of appends the classes that a word belongs to.
func (m *matcher) of(word []byte, out []int32) []int32 {
	n := len(out)
	out = m.spelt(word, out)
	if len(out) == n && len(word) >= 6 && len(word) <= 24 {
		if right := m.resembled(word); right != "" {
			return m.spelt([]byte(right), out)
		}
	}
	return out
}

func (m *matcher) spelt(word []byte, out []int32) []int32 {
	if c, ok := m.exact[string(word)]; ok {
		out = append(out, c)
	}
	for _, n := range m.prefixes {
		if n > len(word) {
			break
		}
		if c, ok := m.prefix[string(word[:n])]; ok {
			out = append(out, c)
		}
	}
	for _, n := range m.suffixes {
		if n > len(word) {
			break
		}
		if c, ok := m.suffix[string(word[len(word)-n:])]; ok {
			out = append(out, c)
		}
	}
	return out
}

// resembled is the word of [misspelt] that word is one mistake away from, or "".
func (m *matcher) resembled(word []byte) string {
	if right, ok := m.near[string(word)]; ok { // one missing
		return right
	}
	var tmp [24]byte
	for i := 1; i < len(word); i++ {
		less := append(append(tmp[:0], word[:i]...), word[i+1:]...)
		if m.fuzzy[string(less)] { // one too many
			return string(less)
		}
		if right, ok := m.near[string(less)]; ok && len(right) == len(word) { // one changed, or two swapped
			return right
		}
	}
	return ""
}

// judge tells what the rules find in a text of one kind of place.
func (m *matcher) judge(text string, in where) verdict {
	var s *scratch
	select {
	case s = <-m.free:
	default:
		s = new(scratch)
	}
	defer func() {
		if cap(s.words.buf)+cap(s.joined.buf) > maxKept {
			return
		}
		select {
		case m.free <- s:
		default:
		}
	}()
	s.words.cut(text, false)
	var v verdict
	m.find(s, &s.words, in, &v)
	if s.words.camel {
		s.joined.cut(text, true)
		m.find(s, &s.joined, in, &v)
	}
	if s.words.lines {
		s.joined.join(&s.words)
		m.find(s, &s.joined, in, &v)
	}
	return v
}

func (m *matcher) find(s *scratch, w *words, in where, v *verdict) {
	s.classes, s.found = s.classes[:0], s.found[:0]
	for _, x := range w.list {
		if !x.digit && x.to-x.from > 1 {
			v.words = true
		}
		s.classes = append(s.classes, s.of(m, w.text(x)))
	}
	for i := range s.classes {
		for _, c := range s.classes[i] {
			for _, p := range m.starts[c] {
				if m.stands(s, i, m.all[p].words) {
					s.found = append(s.found, found{p, int32(i), int32(i + len(m.all[p].words))})
				}
			}
		}
	}
	person := in == inPerson
	for _, f := range s.found {
		person = person && !m.org[f.phrase]
	}
	for i, f := range s.found {
		if m.harmless[f.phrase] && !(m.lone[f.phrase] && int(f.to-f.from) != len(w.list)) {
			v.harmless = true
		}
		v.neutral = v.neutral || m.neutral[f.phrase]
	rules:
		for _, n := range m.byPhrase[f.phrase] {
			r := &m.rules[n]
			if person && f.to-f.from == 1 {
				continue // Dr Cancer, Dr Hodgkin
			}
			if r.in&in == 0 || r.upper && !w.list[f.from].upper || r.alone && int(f.to-f.from) != len(w.list) {
				continue
			}
			if len(r.except) > 0 && same(s.found, i, r.except) {
				continue
			}
			if len(r.with) > 0 && !beside(s.found, i, r.with) || len(r.without) > 0 && beside(s.found, i, r.without) {
				continue
			}
			for _, h := range v.hits {
				if m.rules[h.rule].label == r.label {
					continue rules // one reason a label is enough
				}
			}
			v.hits = append(v.hits, hit{rule: n, evidence: evidence(w, f)})
		}
	}
}

func (m *matcher) stands(s *scratch, at int, phrase []int32) bool {
	if at+len(phrase) > len(s.classes) {
		return false
	}
next:
	for k := 1; k < len(phrase); k++ {
		for _, c := range s.classes[at+k] {
			if c == phrase[k] {
				continue next
			}
		}
		return false
	}
	return true
}

// beside tells whether one of the phrases was found near all[at] and is more
// than a part of it. all is in the order of where phrases begin.
func beside(all []found, at int, phrases []int32) bool {
	f := all[at]
	near := func(g found) bool {
		return !(g.from >= f.from && g.to <= f.to) && slices.Contains(phrases, g.phrase)
	}
	for i := at - 1; i >= 0 && all[i].from >= f.from-reach-longest; i-- {
		if all[i].to >= f.from-reach && near(all[i]) {
			return true
		}
	}
	for _, g := range all[at+1:] {
		if g.from > f.to+reach {
			break
		}
		if near(g) {
			return true
		}
	}
	return false
}

// longest is more words than any phrase has.
const longest = 8

// same tells whether one of the phrases covers exactly what all[at] does.
func same(all []found, at int, phrases []int32) bool {
	f := all[at]
	is := func(g found) bool { return g.to == f.to && slices.Contains(phrases, g.phrase) }
	for i := at; i >= 0 && all[i].from == f.from; i-- {
		if is(all[i]) {
			return true
		}
	}
	for i := at + 1; i < len(all) && all[i].from == f.from; i++ {
		if is(all[i]) {
			return true
		}
	}
	return false
}

// evidence is the words that matched.
func evidence(w *words, f found) string {
	var b strings.Builder
	for i, x := range w.list[f.from:f.to] {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.Write(w.text(x))
	}
	return strings.ReplaceAll(b.String(), string(rune(hole)), "?")
}
