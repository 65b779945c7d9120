package fhir

import "strings"

// Without removes the elements at the given paths, "text", "meta.security",
// "component.note", in every repetition, with their primitive extensions
// ("_birthDate" with "birthDate"). A path may begin with a resource type; it
// then says nothing to others. Objects and arrays left empty are removed too;
// every other byte stays. resourceType cannot be removed.
func (r Resource) Without(paths ...string) (Resource, error) {
	root := pathTree{}
	for _, p := range paths {
		if first, rest, ok := strings.Cut(p, "."); ok && IsType(first) {
			if first != r.typ {
				continue
			}
			p = rest
		}
		if p != "resourceType" {
			root.add(p)
		}
	}
	if len(root) == 0 {
		return r, nil
	}
	p := pruner{editor: editor{r: r}}
	p.walk(r.Root(), root, false)
	return p.apply()
}

// WithoutReferences removes each object that names a resource for which drop
// says yes: the Reference with its display, the Attachment with its title, the
// extension. Arrays close up, parents left empty go; every other byte stays.
func (r Resource) WithoutReferences(drop func(Ref) bool) (Resource, error) {
	holders := map[int]bool{}
	p := pruner{editor: editor{r: r}}
	refSites(r, func(s refSite) {
		if ref, ok := ParseRef(s.value.Text()); ok && drop(ref) {
			holders[s.holder] = true
		}
	})
	if len(holders) == 0 {
		return r, nil
	}
	if holders[0] { // the resource itself must stay: only its url goes
		short, err := r.Without("url", "reference", "valueUri", "valueUrl")
		if err != nil {
			return Resource{}, err
		}
		return short.WithoutReferences(drop)
	}
	p.object = func(n Node) bool { return holders[p.offset(n)] }
	p.walk(r.Root(), nil, false)
	return p.apply()
}

// pathTree is a set of paths; a nil subtree is the end of one.
type pathTree map[string]pathTree

func (t pathTree) add(path string) {
	name, rest, more := strings.Cut(path, ".")
	sub, known := t[name]
	switch {
	case !more:
		t[name] = nil
	case known && sub == nil: // the whole of it goes already
	default:
		if sub == nil {
			sub = pathTree{}
			t[name] = sub
		}
		sub.add(rest)
	}
}

// pruner cuts members and items and closes up after them.
type pruner struct {
	editor
	object func(Node) bool // whether to drop an object; nil drops none
}

// walk prunes what is below n and tells whether all of it went. parallel marks
// the array of a primitive's extensions ("_given"), whose items keep their
// places: there null stands for what went.
func (p *pruner) walk(n Node, paths pathTree, parallel bool) (gone bool) {
	k := n.Kind()
	if k != '{' && k != '[' || paths == nil && p.object == nil {
		return false
	}
	if k == '{' && p.object != nil && p.object(n) {
		return true
	}
	var (
		mark    = len(p.edits)
		base    = p.offset(n)
		lost    bool
		left    int
		hole    = -1 // start of a run of dropped children that nothing kept precedes
		keptEnd int  // end of the last child, once one is kept
	)
	for c := n.open(k); c.next(); {
		start := len(p.edits)
		dropped := p.drops(&c, paths)
		lost = lost || dropped
		switch {
		case parallel && k == '[':
			if dropped {
				p.edits = p.edits[:start]
				p.replace(c.value(), []byte("null"))
			} else if c.value().Kind() != 'n' {
				left++
			}
		case !dropped:
			if hole >= 0 {
				p.cut(base+hole, base+c.from())
				hole = -1
			}
			left++
			keptEnd = c.end
		case left > 0:
			p.edits = p.edits[:start]
			p.cut(base+keptEnd, base+c.end)
			keptEnd = c.end
		default:
			p.edits = p.edits[:start]
			if hole < 0 {
				hole = c.from()
			}
		}
	}
	if lost && left == 0 {
		p.edits = p.edits[:mark]
		return true
	}
	return false
}

// drops tells whether the current child goes, having pruned below it.
func (p *pruner) drops(c *cursor, paths pathTree) bool {
	v := c.value()
	if !c.object {
		return p.walk(v, paths, false)
	}
	extension := c.b[c.nameStart+1] == '_' || c.b[c.nameStart+1] == '\\' && strings.HasPrefix(c.nameText(), "_")
	if paths == nil {
		return p.walk(v, nil, extension)
	}
	sub, named := paths[strings.TrimPrefix(c.nameText(), "_")]
	if named && sub == nil {
		return true
	}
	return p.walk(v, sub, extension)
}
