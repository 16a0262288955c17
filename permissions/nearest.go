package permissions

import "strings"

// longestName bounds what nearest compares: no name is half as long.
const longestName = 64

// nearest returns the permission that a page's queries call name, and else the
// one that is spelled most like it, regardless of case and of what joins the
// words.
func nearest(name string) Permission {
	if q, known := FromQuery(Descriptor{Name: name}); known {
		return q.Permission
	}
	if len(name) > longestName {
		name = name[:longestName]
	}
	best, least := Unknown, longestName+1
	for _, p := range All() {
		if d := distance(bare(name), bare(string(p))); d < least {
			best, least = p, d
		}
	}
	return best
}

// bare is a name in lower case and without what joins its words.
func bare(name string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "", ".", "").Replace(strings.ToLower(name))
}

// distance counts the letters to insert, remove or replace to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := corner
			if a[i] != b[j] {
				replaced++
			}
			corner = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
