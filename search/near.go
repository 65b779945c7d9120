package search

import (
	"math"
	"slices"
	"strconv"

	"firebreak/fhir"
)

// point is a place on the earth, WGS84, in radians.
type point struct{ latitude, longitude float64 }

// around is what near asks for: not farther from a point than so many kilometres.
type around struct {
	point
	distance float64
}

// nearby is near where no distance is given, in kilometres: R4 leaves it to the server.
const nearby = 50

// kilometres are how long units of near are, by UCUM and as they are called.
var kilometres = map[string]float64{"": 1, "km": 1, "m": 0.001, "[mi_i]": 1.609344, "mi": 1.609344, "[ft_i]": 0.0003048, "ft": 0.0003048}

// parseAround reads latitude|longitude, |distance, |unit.
//
// Source: R4 location.html, search parameter near.
func parseAround(s string) (a around, ok bool) {
	parts := slices.Collect(unescaped(s, '|'))
	if len(parts) < 2 || len(parts) > 4 {
		return a, false
	}
	if a.point, ok = pointOf(plain(parts[0]), plain(parts[1])); !ok {
		return a, false
	}
	a.distance = nearby
	unit := 1.0
	if len(parts) == 4 {
		if unit, ok = kilometres[plain(parts[3])]; !ok {
			return a, false
		}
	}
	if len(parts) > 2 && parts[2] != "" {
		d, err := strconv.ParseFloat(plain(parts[2]), 64)
		if err != nil || !(d >= 0) {
			return a, false
		}
		a.distance = d * unit
	}
	return a, true
}

func pointOf(latitude, longitude string) (point, bool) {
	lat, err1 := strconv.ParseFloat(latitude, 64)
	lon, err2 := strconv.ParseFloat(longitude, 64)
	if err1 != nil || err2 != nil || !(math.Abs(lat) <= 90 && math.Abs(lon) <= 180) {
		return point{}, false
	}
	return point{lat * math.Pi / 180, lon * math.Pi / 180}, true
}

func positionOf(n fhir.Node) (point, bool) {
	return pointOf(n.Get("latitude").Text(), n.Get("longitude").Text())
}

// holds tells whether p lies within a, by the great circle on a sphere of the earth's
// mean radius.
func (a around) holds(p point) bool {
	half := func(x float64) float64 { s := math.Sin(x / 2); return s * s }
	h := half(p.latitude-a.latitude) + math.Cos(a.latitude)*math.Cos(p.latitude)*half(p.longitude-a.longitude)
	return 2*6371.0088*math.Asin(math.Min(1, math.Sqrt(h))) <= a.distance
}
