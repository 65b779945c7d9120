// Package fhir holds FHIR R4 resources without loss: the bytes that were
// received are the truth, the structs of samply/golang-fhir-models a lens.
package fhir

import (
	"fmt"
	"log/slog"
)

// Resource is one FHIR R4 resource: its type, its id and its exact JSON.
// It is immutable, and prints as kind and size so that no log shows a patient.
// Only Parse, New and the methods below make one.
type Resource struct {
	typ  string
	id   string
	json []byte
}

// Type is the resourceType, "Patient". The zero Resource has none.
func (r Resource) Type() string { return r.typ }

// ID is the logical id (R4 2.1.3, [A-Za-z0-9\-\.]{1,64}); it may be empty.
func (r Resource) ID() string { return r.id }

// JSON is the resource as received or built. The caller must not change it.
func (r Resource) JSON() []byte { return r.json }

// Ref is the relative reference to r.
func (r Resource) Ref() Ref { return Ref{Type: r.typ, ID: r.id} }

// IsZero tells whether r holds no resource.
func (r Resource) IsZero() bool { return r.typ == "" }

func (r Resource) String() string { return fmt.Sprintf("%s (%d bytes)", r.typ, len(r.json)) }

// LogValue keeps patients' data out of logs.
func (r Resource) LogValue() slog.Value { return slog.StringValue(r.String()) }

// Ref names a resource within this server, "Patient/abc".
type Ref struct{ Type, ID string }

func (r Ref) String() string { return r.Type + "/" + r.ID }

// IsZero tells whether r names nothing.
func (r Ref) IsZero() bool { return r.Type == "" && r.ID == "" }
