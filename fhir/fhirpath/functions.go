package fhirpath

import (
	"errors"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// function is what can be called: with how many arguments, and whether its one
// argument is the name of a type.
type function struct {
	least, most int
	typed       bool
	call        func(s *scope, focus []Value, args []expr) ([]Value, error)
}

// functions are those that the invariants of R4 call.
//
// Source: FHIRPath N1 5; FHIR R4 2.9.1 for hasValue and resolve.
var functions map[string]function

func init() { // they call one another
	functions = map[string]function{
		"is":     {typed: true},
		"as":     {typed: true},
		"ofType": {typed: true},
		"empty":  plain(func(all []Value) ([]Value, error) { return boolean(len(all) == 0), nil }),
		"count":  plain(func(all []Value) ([]Value, error) { return []Value{{made: big.NewRat(int64(len(all)), 1)}}, nil }),
		"not": plain(func(all []Value) ([]Value, error) {
			yes, known, err := truth(all)
			if !known {
				return nil, err
			}
			return boolean(!yes), err
		}),
		"hasValue":    plain(func(all []Value) ([]Value, error) { return boolean(len(all) == 1 && all[0].hasValue()), nil }),
		"first":       plain(func(all []Value) ([]Value, error) { return all[:min(1, len(all))], nil }),
		"tail":        plain(func(all []Value) ([]Value, error) { return all[min(1, len(all)):], nil }),
		"isDistinct":  plain(func(all []Value) ([]Value, error) { return boolean(len(distinct(all)) == len(all)), nil }),
		"children":    plain(func(all []Value) ([]Value, error) { return below(all, Value.children), nil }),
		"descendants": plain(func(all []Value) ([]Value, error) { return below(all, Value.descendants), nil }),
		// What a reference leads to is not at hand.
		"resolve":   plain(func([]Value) ([]Value, error) { return nil, nil }),
		"toInteger": plain(toInteger),
		"toString":  plain(toString),
		"exists": {0, 1, false, func(s *scope, focus []Value, args []expr) ([]Value, error) {
			if len(args) == 1 {
				var err error
				if focus, err = where(s, focus, args[0]); err != nil {
					return nil, err
				}
			}
			return boolean(len(focus) > 0), nil
		}},
		"where": {1, 1, false, func(s *scope, focus []Value, args []expr) ([]Value, error) { return where(s, focus, args[0]) }},
		"all": {1, 1, false, func(s *scope, focus []Value, args []expr) ([]Value, error) {
			kept, err := where(s, focus, args[0])
			return boolean(len(kept) == len(focus)), err
		}},
		"select": {1, 1, false, func(s *scope, focus []Value, args []expr) (all []Value, _ error) {
			for _, v := range focus {
				part, err := each(s, v, args[0])
				if err != nil {
					return nil, err
				}
				all = append(all, part...)
			}
			return all, nil
		}},
		"iif": {2, 3, false, func(s *scope, focus []Value, args []expr) ([]Value, error) {
			if len(focus) > 1 {
				return nil, errMany
			}
			inner := *s
			if len(focus) == 1 {
				inner.this = focus
			}
			asked, err := args[0](&inner, focus)
			if err != nil {
				return nil, err
			}
			yes, known, err := truth(asked)
			switch {
			case err != nil:
				return nil, err
			case yes && known:
				return args[1](&inner, focus)
			case len(args) == 3:
				return args[2](&inner, focus)
			}
			return nil, nil
		}},
		// Nobody reads a trace.
		"trace":   {1, 2, false, func(_ *scope, focus []Value, _ []expr) ([]Value, error) { return focus, nil }},
		"combine": two(func(a, b []Value) []Value { return append(slices.Clone(a), b...) }),
		"intersect": two(func(a, b []Value) []Value {
			return distinct(slices.DeleteFunc(slices.Clone(a), func(v Value) bool { return !holds(b, v) }))
		}),
		"startsWith": onText(strings.HasPrefix),
		"contains":   onText(strings.Contains),
		"matches": onText(func(s, pattern string) bool {
			re := compiled(pattern)
			return re != nil && re.MatchString(s)
		}),
		"replaceMatches": {2, 2, false, func(s *scope, focus []Value, args []expr) ([]Value, error) {
			of, ok, err := textOf(focus, nil)
			if !ok || err != nil {
				return nil, err
			}
			pattern, ok, err := textOf(args[0](s, s.this))
			if !ok || err != nil {
				return nil, err
			}
			by, ok, err := textOf(args[1](s, s.this))
			if !ok || err != nil {
				return nil, err
			}
			re := compiled(pattern)
			if re == nil {
				return nil, errPattern
			}
			return []Value{{made: re.ReplaceAllString(of, by)}}, nil
		}},
		"substring": {1, 1, false, func(s *scope, focus []Value, args []expr) ([]Value, error) {
			of, ok, err := textOf(focus, nil)
			if !ok || err != nil {
				return nil, err
			}
			from, err := args[0](s, s.this)
			if err != nil || len(from) != 1 {
				return nil, err
			}
			n, _ := from[0].literal().(*big.Rat)
			runes := []rune(of)
			if n == nil || !n.IsInt() || !n.Num().IsInt64() || n.Sign() < 0 || n.Num().Int64() >= int64(len(runes)) {
				return nil, nil
			}
			return []Value{{made: string(runes[n.Num().Int64():])}}, nil
		}},
	}
}

func plain(f func(all []Value) ([]Value, error)) function {
	return function{call: func(_ *scope, focus []Value, _ []expr) ([]Value, error) { return f(focus) }}
}

func below(all []Value, f func(Value) []Value) (found []Value) {
	for _, v := range all {
		found = append(found, f(v)...)
	}
	return found
}

// where gives the items on which e is true.
func where(s *scope, focus []Value, e expr) (kept []Value, _ error) {
	for _, v := range focus {
		all, err := each(s, v, e)
		if err != nil {
			return nil, err
		}
		yes, known, err := truth(all)
		if err != nil {
			return nil, err
		}
		if yes && known {
			kept = append(kept, v)
		}
	}
	return kept, nil
}

func two(f func(a, b []Value) []Value) function {
	return function{1, 1, false, func(s *scope, focus []Value, args []expr) ([]Value, error) {
		other, err := args[0](s, s.this)
		return f(focus, other), err
	}}
}

func onText(f func(s, arg string) bool) function {
	return function{1, 1, false, func(s *scope, focus []Value, args []expr) ([]Value, error) {
		of, ok, err := textOf(focus, nil)
		if !ok || err != nil {
			return nil, err
		}
		arg, ok, err := textOf(args[0](s, s.this))
		if !ok || err != nil {
			return nil, err
		}
		return boolean(f(of, arg)), nil
	}}
}

// textOf is the one string of a collection; ok is false where there is none.
func textOf(all []Value, err error) (s string, ok bool, _ error) {
	if err != nil || len(all) == 0 {
		return "", false, err
	}
	v, err := single(all)
	if err != nil {
		return "", false, err
	}
	s, ok = words(v.literal())
	return s, ok, nil
}

var errPattern = errors.New("fhirpath: the pattern is no regular expression")

var patterns sync.Map // string to *regexp.Regexp, of the definitions

// compiled is nil for what is no pattern.
func compiled(pattern string) *regexp.Regexp {
	if re, ok := patterns.Load(pattern); ok {
		return re.(*regexp.Regexp)
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil
	}
	patterns.Store(pattern, re)
	return re
}

func toInteger(all []Value) ([]Value, error) {
	if len(all) == 0 {
		return nil, nil
	}
	v, err := single(all)
	if err != nil {
		return nil, err
	}
	n, _ := v.literal().(*big.Rat)
	if s, ok := words(v.literal()); ok {
		n, _ = decimal(s)
	}
	if n == nil || !n.IsInt() {
		return nil, nil
	}
	return []Value{{made: n}}, nil
}

func toString(all []Value) ([]Value, error) {
	if len(all) == 0 {
		return nil, nil
	}
	v, err := single(all)
	if err != nil {
		return nil, err
	}
	if s, ok := words(v.literal()); ok {
		return []Value{{made: s}}, nil
	}
	if v.typ != "" && v.literal() != nil {
		return []Value{{made: v.node.Text()}}, nil // a decimal as it was written
	}
	return nil, nil
}
