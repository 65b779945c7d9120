// Package search evaluates FHIR R4 searches over resources held in memory:
// filter first, search second. Nothing here reads a store.
package search
