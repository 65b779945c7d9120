package search

import (
	"slices"
	"strings"

	"firebreak/fhir"
)

var prefixes = []string{"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"}

func cutPrefix(s string) (prefix, rest string) {
	if len(s) > 2 && slices.Contains(prefixes, s[:2]) {
		return s[:2], s[2:]
	}
	return "eq", s
}

// value reads one alternative of a filter's value.
func (r *reader) value(p *param, f filter, s string) (value, error) {
	bad := func(what string) (value, error) { return value{}, refuse("value", f.name, what) }
	if s == "" {
		return bad("It has an empty value.")
	}
	if f.modifier == "identifier" {
		return value{token: tokenOf(s)}, nil
	}
	if p.words != nil {
		q, ok := parseFullText(plain(s))
		if !ok {
			return bad("It is written in words and \"phrases\", with AND, OR, NOT and parentheses.")
		}
		return value{words: &q}, nil
	}
	if p.sounds {
		words := sounds(plain(s))
		if len(words) == 0 {
			return bad("It has no word.")
		}
		return value{sounds: words}, nil
	}
	switch p.kind {
	case kindSpecial:
		a, ok := parseAround(s)
		if !ok {
			return bad("It is written latitude|longitude|distance|unit, in degrees, and km, m, [mi_i] or [ft_i].")
		}
		return value{around: a}, nil
	case kindToken:
		if f.modifier == "of-type" {
			parts := slices.Collect(unescaped(s, '|'))
			if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
				return bad("It is written system|code|value.")
			}
			return value{token: typed(plain(parts[0]), plain(parts[1]), plain(parts[2]))}, nil
		}
		if f.modifier == "text" {
			return value{text: Fold(plain(s))}, nil
		}
		if slices.Contains(byTerms, f.modifier) {
			sets, err := r.sets(p, f, s)
			return value{sets: sets}, err
		}
		t := tokenOf(s)
		if t.Code == "" && t.System == "" {
			return bad("It has neither system nor code.")
		}
		return value{token: t}, nil
	case kindString:
		text := plain(s)
		if f.modifier != "exact" {
			if text = Fold(text); text == "" {
				return bad("It has an empty value.")
			}
		}
		return value{text: text}, nil
	case kindURI:
		if f.modifier != "" && strings.HasPrefix(strings.ToLower(s), "urn:") {
			return bad("Above and below are of URLs, not of other names.")
		}
		return value{text: plain(s)}, nil
	case kindDate:
		prefix, rest := cutPrefix(plain(s))
		want, ok := parseDate(rest)
		if !ok {
			return bad("It is not a date.")
		}
		if prefix == "ap" {
			want = want.widen(r.options.now)
		}
		return value{prefix: prefix, span: want}, nil
	case kindNumber:
		prefix, rest := cutPrefix(plain(s))
		n, ok := parseWanted(rest, prefix == "ap")
		if !ok {
			return bad("It is not a number.")
		}
		return value{prefix: prefix, number: n}, nil
	case kindQuantity:
		parts := slices.Collect(unescaped(s, '|'))
		if len(parts) != 1 && len(parts) != 3 {
			return bad("It is written number or number|system|code.")
		}
		prefix, rest := cutPrefix(plain(parts[0]))
		n, ok := parseWanted(rest, prefix == "ap")
		if !ok {
			return bad("It does not begin with a number.")
		}
		v := value{prefix: prefix, number: n, token: Token{AnySystem: true, AnyCode: true}}
		if len(parts) == 3 {
			v.token = Token{System: plain(parts[1]), Code: plain(parts[2])}
			v.token.AnySystem, v.token.AnyCode = v.token.System == "", v.token.Code == ""
		}
		return v, nil
	case kindReference:
		return value{ref: r.reference(p, f, plain(s))}, nil
	case kindComposite:
		parts := slices.Collect(unescaped(s, '$'))
		if len(parts) != len(p.parts) {
			return bad("Its parts are joined by $, as many as the definition has.")
		}
		var v value
		for i, part := range parts {
			one, err := r.value(p.parts[i], filter{name: f.name}, part)
			if err != nil {
				return value{}, err
			}
			v.parts = append(v.parts, one)
		}
		return v, nil
	}
	return bad("It cannot be searched.")
}

// tokenOf reads code, system|code, |code or system|.
func tokenOf(s string) Token {
	parts := slices.Collect(unescaped(s, '|'))
	if len(parts) == 1 {
		return Token{Code: plain(s), AnySystem: true}
	}
	code := plain(strings.Join(parts[1:], "|")) // a bar inside an identifier, not escaped
	return Token{System: plain(parts[0]), Code: code, AnyCode: code == ""}
}

func (r *reader) reference(p *param, f filter, s string) reference {
	if base := r.options.base; base != "" {
		s = strings.TrimPrefix(s, base+"/")
	}
	if ref, ok := fhir.ParseRef(s); ok {
		return reference{typ: ref.Type, id: ref.ID}
	}
	if fhir.ValidID(s) {
		typ := f.typ
		if typ == "" && len(p.targets) == 1 {
			typ = p.targets[0]
		}
		return reference{typ: typ, id: s, url: s}
	}
	return reference{url: s}
}
