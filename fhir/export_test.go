package fhir

import "reflect"

// RequiredChoices are the choices of which New asks one, for a struct type.
func RequiredChoices(t reflect.Type) []string {
	p := planOf(t).(*structPlan)
	p.once.Do(p.build)
	return p.groups
}
