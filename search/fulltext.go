package search

import (
	"html"
	"strings"
	"unicode"

	"firebreak/fhir"
)

// fullText is a question to the words of a resource: words and "phrases", AND
// (which may be left out), OR, NOT and parentheses. A word that ends in * stands
// for all that begin so. Words are compared as strings are, see [Fold].
//
// Source: http://hl7.org/fhir/R4/search.html#text; how words are compared is the
// server's there.
type fullText struct {
	phrase string // " bone marrow "; empty for an operator
	op     byte   // '&', '|' or '!' over parts
	parts  []fullText
}

const (
	maxWords  = 50 // of one question
	maxNested = 10 // parentheses
)

// holds tells whether the words of a text, as wordsOf gives them, answer q.
func (q *fullText) holds(words string) bool {
	switch q.op {
	case '!':
		return !q.parts[0].holds(words)
	case '&', '|':
		for i := range q.parts {
			if q.parts[i].holds(words) == (q.op == '|') {
				return q.op == '|'
			}
		}
		return q.op == '&'
	}
	return strings.Contains(words, q.phrase)
}

// parseFullText reads a question; ok is false for one that is none.
func parseFullText(s string) (q fullText, ok bool) {
	p := wordParser{rest: s}
	q, ok = p.either(0)
	return q, ok && strings.TrimSpace(p.rest) == ""
}

type wordParser struct {
	rest  string
	words int
}

// next is the next token, not taken: a parenthesis, a quoted phrase with its
// quotes, or a word; "" at the end.
func (p *wordParser) next() string {
	p.rest = strings.TrimLeftFunc(p.rest, unicode.IsSpace)
	switch {
	case p.rest == "":
		return ""
	case p.rest[0] == '(' || p.rest[0] == ')':
		return p.rest[:1]
	case p.rest[0] == '"':
		if end := strings.IndexByte(p.rest[1:], '"'); end >= 0 {
			return p.rest[:end+2]
		}
		return p.rest
	}
	if end := strings.IndexFunc(p.rest, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`()"`, r) }); end >= 0 {
		return p.rest[:end]
	}
	return p.rest
}

func (p *wordParser) take(word string) bool {
	next := p.next()
	if !strings.EqualFold(next, word) {
		return false
	}
	p.rest = p.rest[len(next):]
	return true
}

func (p *wordParser) either(depth int) (fullText, bool) {
	q, ok := p.all(depth)
	for ok && p.take("OR") {
		var right fullText
		right, ok = p.all(depth)
		q = fullText{op: '|', parts: []fullText{q, right}}
	}
	return q, ok
}

func (p *wordParser) all(depth int) (fullText, bool) {
	q, ok := p.one(depth)
	for ok {
		joined := p.take("AND")
		if next := p.next(); !joined && (next == "" || next == ")" || strings.EqualFold(next, "OR")) {
			break
		}
		var right fullText
		right, ok = p.one(depth)
		q = fullText{op: '&', parts: []fullText{q, right}}
	}
	return q, ok
}

func (p *wordParser) one(depth int) (fullText, bool) {
	if p.words++; p.words > maxWords || depth > maxNested {
		return fullText{}, false
	}
	switch {
	case p.take("NOT"):
		q, ok := p.one(depth)
		return fullText{op: '!', parts: []fullText{q}}, ok
	case p.take("("):
		q, ok := p.either(depth + 1)
		return q, ok && p.take(")")
	}
	word := p.next()
	p.rest = p.rest[len(word):]
	if strings.EqualFold(word, "AND") || strings.EqualFold(word, "OR") {
		return fullText{}, false
	}
	phrase := wordsOf(word)
	if strings.HasSuffix(word, "*") {
		phrase = strings.TrimSuffix(phrase, " ")
	}
	return fullText{phrase: phrase}, strings.TrimSpace(phrase) != ""
}

// wordsOf are the words of a text, folded, with one space before, between and
// after them.
func wordsOf(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	space := true
	b.WriteByte(' ')
	for _, r := range Fold(s) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			b.WriteRune(r)
			space = false
		} else if !space {
			b.WriteByte(' ')
			space = true
		}
	}
	if !space {
		b.WriteByte(' ')
	}
	return b.String()
}

// narrativeWords are the words of a resource's narrative.
func narrativeWords(n fhir.Node) string { return wordsOf(narrative(n.Get("text").Get("div").Text())) }

// contentWords are the words of all of a resource: every string and number, the
// narrative's text, but no files. No phrase goes from one into the next.
func contentWords(n fhir.Node) string {
	var b strings.Builder
	gather(&b, "", n)
	return b.String()
}

func gather(b *strings.Builder, name string, n fhir.Node) {
	switch n.Kind() {
	case '{':
		for name, v := range n.Members() {
			gather(b, name, v)
		}
	case '[':
		for v := range n.Items() {
			gather(b, name, v)
		}
	case '"', '0':
		s := n.Text()
		switch name {
		case "data": // of an Attachment or a Binary: a file
			return
		case "div":
			s = narrative(s)
		}
		b.WriteString(wordsOf(s))
		b.WriteByte('\n')
	}
}

// narrative is the text of an XHTML fragment.
func narrative(s string) string {
	var b strings.Builder
	for s != "" {
		text, rest, _ := strings.Cut(s, "<")
		b.WriteString(html.UnescapeString(text))
		b.WriteByte(' ')
		_, s, _ = strings.Cut(rest, ">")
	}
	return b.String()
}
