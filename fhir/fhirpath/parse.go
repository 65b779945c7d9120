// Package fhirpath evaluates FHIRPath over resources, as far as the invariants
// of the R4 definitions need it, and judges resources by those.
//
// What an expression cannot be read with is an error when it is compiled, never
// a wrong answer later: functions and literals that are not listed in
// functions.go are not known.
//
// Source: FHIRPath N1 (http://hl7.org/fhirpath/N1), FHIR R4 2.9.
package fhirpath

import (
	"fmt"
	"slices"
	"strings"
)

// An Expr is a compiled expression. Many goroutines may use it.
type Expr struct {
	source string
	eval   expr
}

// String is the expression as it was written.
func (e *Expr) String() string { return e.source }

// expr gives what an expression comes to on a focus.
type expr func(s *scope, focus []Value) ([]Value, error)

// Compile reads an expression. The error names the place in it.
func Compile(source string) (*Expr, error) {
	tokens, err := scan(source)
	if err != nil {
		return nil, err
	}
	p := &parser{source: source, tokens: tokens}
	e, err := p.expression(0)
	if err == nil && p.peek().kind != end {
		err = p.fail("is not expected here")
	}
	if err != nil {
		return nil, err
	}
	return &Expr{source, e}, nil
}

type kind int

const (
	end kind = iota
	name
	text
	number
	symbol
)

type token struct {
	kind kind
	text string
	at   int
}

const symbols = "<= >= != !~ < > = ~ + - * / & | ( ) [ ] { } . , % $"

func scan(s string) (all []token, err error) {
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			i++
		case c == '\'' || c == '"' || c == '`':
			value, size, err := quoted(s[i:])
			if err != nil {
				return nil, fmt.Errorf("fhirpath: at %d: %w", i, err)
			}
			k := text
			if c != '\'' {
				k = name
			}
			all = append(all, token{k, value, i})
			i += size
		case c >= '0' && c <= '9':
			j := i + 1
			for j < len(s) && (s[j] >= '0' && s[j] <= '9' || s[j] == '.' && j+1 < len(s) && s[j+1] >= '0' && s[j+1] <= '9') {
				j++
			}
			all = append(all, token{number, s[i:j], i})
			i = j
		case letter(c):
			j := i + 1
			for j < len(s) && (letter(s[j]) || s[j] >= '0' && s[j] <= '9') {
				j++
			}
			all = append(all, token{name, s[i:j], i})
			i = j
		default:
			at := slices.IndexFunc(strings.Fields(symbols), func(x string) bool { return strings.HasPrefix(s[i:], x) })
			if at < 0 {
				return nil, fmt.Errorf("fhirpath: at %d: %q begins nothing", i, c)
			}
			x := strings.Fields(symbols)[at]
			all = append(all, token{symbol, x, i})
			i += len(x)
		}
	}
	return append(all, token{end, "", len(s)}), nil
}

func letter(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }

// quoted reads a string or a delimited name at the beginning of s, and how long
// it is there.
func quoted(s string) (string, int, error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case s[0]:
			return b.String(), i + 1, nil
		case '\\':
			i++
			if i == len(s) {
				continue
			}
			if plain, ok := map[byte]byte{'r': '\r', 'n': '\n', 't': '\t', 'f': '\f'}[s[i]]; ok {
				b.WriteByte(plain)
			} else if s[i] == 'u' {
				return "", 0, fmt.Errorf(`\u is not read`)
			} else {
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return "", 0, fmt.Errorf("the quote is not closed")
}

type parser struct {
	source string
	tokens []token
	i      int
}

func (p *parser) peek() token { return p.tokens[p.i] }

func (p *parser) next() token {
	t := p.tokens[p.i]
	if t.kind != end {
		p.i++
	}
	return t
}

// take skips the symbol or word if it is next.
func (p *parser) take(what string) bool {
	if t := p.peek(); (t.kind == symbol || t.kind == name) && t.text == what {
		p.i++
		return true
	}
	return false
}

func (p *parser) fail(why string) error {
	t := p.peek()
	if t.kind == end {
		return fmt.Errorf("fhirpath: the end %s", why)
	}
	return fmt.Errorf("fhirpath: at %d: %q %s", t.at, t.text, why)
}

// levels are the binary operators, those that bind least first.
var levels = [][]string{{"implies"}, {"or", "xor"}, {"and"}, {"in", "contains"}, {"=", "~", "!=", "!~"}, {"<=", "<", ">", ">="}, {"|"}, {"is", "as"}, {"+", "-", "&"}}

func (p *parser) expression(level int) (expr, error) {
	if level == len(levels) {
		return p.term()
	}
	left, err := p.expression(level + 1)
	for err == nil {
		t := p.peek()
		if t.kind != symbol && t.kind != name || !slices.Contains(levels[level], t.text) {
			return left, nil
		}
		p.next()
		if t.text == "is" || t.text == "as" {
			var typ string
			if typ, err = p.typeName(); err == nil {
				left = typed(t.text, left, typ)
			}
			continue
		}
		var right expr
		if right, err = p.expression(level + 1); err == nil {
			op := operators[t.text]
			if op == nil {
				return nil, fmt.Errorf("fhirpath: at %d: %q is not evaluated", t.at, t.text)
			}
			left = binary(op, left, right)
		}
	}
	return nil, err
}

func (p *parser) typeName() (string, error) {
	t := p.next()
	if t.kind != name {
		return "", fmt.Errorf("fhirpath: at %d: a type is expected", t.at)
	}
	if p.take(".") {
		return p.typeName() // FHIR.Patient, System.Boolean
	}
	return t.text, nil
}

func (p *parser) term() (expr, error) {
	e, err := p.first()
	for err == nil {
		var step expr
		switch {
		case p.take("."):
			if step, err = p.invocation(); err == nil {
				e = then(e, step)
			}
		case p.take("["):
			if step, err = p.expression(0); err == nil && !p.take("]") {
				err = p.fail("is not expected here")
			}
			e = indexed(e, step)
		default:
			return e, nil
		}
	}
	return nil, err
}

func (p *parser) first() (expr, error) {
	switch t := p.peek(); {
	case t.kind == text:
		p.next()
		return constant(t.text), nil
	case t.kind == number:
		p.next()
		n, ok := decimal(t.text)
		if !ok {
			return nil, fmt.Errorf("fhirpath: at %d: no number", t.at)
		}
		return constant(n), nil
	case t.kind == name && (t.text == "true" || t.text == "false"):
		p.next()
		return constant(t.text == "true"), nil
	case p.take("("):
		e, err := p.expression(0)
		if err == nil && !p.take(")") {
			err = p.fail("is not a closing bracket")
		}
		return e, err
	case p.take("{"):
		if !p.take("}") {
			return nil, p.fail("is not expected in an empty collection")
		}
		return func(*scope, []Value) ([]Value, error) { return nil, nil }, nil
	case p.take("%"):
		return p.variable()
	}
	return p.invocation()
}

func (p *parser) variable() (expr, error) {
	t := p.next()
	switch t.text {
	case "resource":
		return func(s *scope, _ []Value) ([]Value, error) { return []Value{s.resource}, nil }, nil
	case "rootResource":
		return func(s *scope, _ []Value) ([]Value, error) { return []Value{s.root}, nil }, nil
	case "context":
		return func(s *scope, _ []Value) ([]Value, error) { return []Value{s.context}, nil }, nil
	case "ucum":
		return constant("http://unitsofmeasure.org"), nil
	}
	return nil, fmt.Errorf("fhirpath: at %d: there is no variable %%%s", t.at, t.text)
}

// invocation reads a member's name or a call, of what stands before it.
func (p *parser) invocation() (expr, error) {
	if p.take("$") {
		if !p.take("this") {
			return nil, p.fail("is not $this")
		}
		return func(s *scope, _ []Value) ([]Value, error) { return s.this, nil }, nil
	}
	t := p.next()
	if t.kind != name {
		p.i = max(0, p.i-1)
		return nil, p.fail("is not expected here")
	}
	if !p.take("(") {
		return member(t.text), nil
	}
	f, known := functions[t.text]
	if !known {
		return nil, fmt.Errorf("fhirpath: at %d: the function %s is not evaluated", t.at, t.text)
	}
	if f.typed {
		typ, err := p.typeName()
		if err == nil && !p.take(")") {
			err = p.fail("is not a closing bracket")
		}
		return typed(t.text, func(_ *scope, focus []Value) ([]Value, error) { return focus, nil }, typ), err
	}
	var args []expr
	for !p.take(")") {
		if len(args) > 0 && !p.take(",") {
			return nil, p.fail("is not a comma")
		}
		arg, err := p.expression(0)
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
	}
	if len(args) < f.least || len(args) > f.most {
		return nil, fmt.Errorf("fhirpath: at %d: %s takes other arguments", t.at, t.text)
	}
	return func(s *scope, focus []Value) ([]Value, error) { return f.call(s, focus, args) }, nil
}
