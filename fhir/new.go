package fhir

import "encoding/json"

// Set is one thing to say that samply's structs cannot: see [New].
type Set struct {
	Path  string // "status", "_birthDate", "participant[0].status", "contained"
	Value any    // a string, bool, integer, json.Number, json.RawMessage, samply struct, slice of them
}

// New builds a resource from a samply struct.
func New(model any, also ...Set) (Resource, error) {
	b, err := json.Marshal(model)
	if err != nil {
		return Resource{}, err
	}
	return Parse(b)
}
