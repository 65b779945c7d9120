// Package table is the form of the tables between their generator and their reader.
package table

// Tables are the R4 definitions, reduced. Names are short because the file is embedded.
type Tables struct {
	Types        []Type                         `json:"t"`
	Primitives   []Primitive                    `json:"p"`
	Sets         [][]Codes                      `json:"v"` // value sets of required bindings
	Search       []Search                       `json:"s"`
	Compartments map[string]map[string][]string `json:"c"` // compartment, type, search parameters
	Invariants   []Invariant                    `json:"q"`
}

// Type is a resource ("r"), datatype ("c"), abstract type ("a") or the type of a
// nested element ("b"), which is named by its path, "Patient.contact".
type Type struct {
	Name     string    `json:"n"`
	Kind     string    `json:"k"`
	Elements []Element `json:"e"`
	Rules    []int     `json:"q,omitempty"` // indexes into Invariants
}

// Element is one element; Max is -1 for "*".
type Element struct {
	Name     string `json:"n"`
	Min      int    `json:"i,omitempty"`
	Max      int    `json:"x"`
	Choice   bool   `json:"c,omitempty"`
	Summary  bool   `json:"u,omitempty"`
	Modifier bool   `json:"m,omitempty"`
	Types    []Ref  `json:"t"`
	Codes    int    `json:"v,omitempty"` // 1 + index into Sets; 0: not bound, or not checkable
	Rules    []int  `json:"q,omitempty"` // indexes into Invariants
}

// Ref is a type an element may have; Targets bound a Reference, none: any.
type Ref struct {
	Type    string   `json:"t"`
	Targets []string `json:"r,omitempty"`
}

// Codes are those of one system, separated by spaces.
type Codes struct {
	System string `json:"s"`
	Codes  string `json:"c"`
}

// Primitive is a primitive type and the regular expression of its literals.
type Primitive struct {
	Name  string `json:"n"`
	Regex string `json:"r,omitempty"`
}

// Invariant is a rule of the definitions in FHIRPath.
type Invariant struct {
	Key        string `json:"k"`
	Human      string `json:"h"`
	Expression string `json:"e"`
	Warning    bool   `json:"w,omitempty"`
}

// Search is a search parameter.
type Search struct {
	ID         string      `json:"i"`
	Code       string      `json:"n"`
	Type       string      `json:"t"`
	Base       []string    `json:"b"`
	Expression string      `json:"e,omitempty"`
	Target     []string    `json:"r,omitempty"`
	Component  []Component `json:"c,omitempty"`
}

// Component is a part of a composite parameter.
type Component struct {
	ID         string `json:"i"`
	Expression string `json:"e"`
}
