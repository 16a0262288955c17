package gateway

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dop251/goja"
)

func (r *pacRuntime) weekdayRange(call goja.FunctionCall) goja.Value {
	args, now := timeArgs(call)
	return r.vm.ToValue(inWeekdays(now, texts(args)))
}

func (r *pacRuntime) dateRange(call goja.FunctionCall) goja.Value {
	args, now := timeArgs(call)
	return r.vm.ToValue(inDates(now, texts(args)))
}

func (r *pacRuntime) timeRange(call goja.FunctionCall) goja.Value {
	args, now := timeArgs(call)
	numbers := make([]int, len(args))
	for i, a := range args {
		numbers[i] = int(a.ToInteger())
	}
	switch len(args) {
	case 0, 1, 2, 4, 6:
		return r.vm.ToValue(inTimes(now, numbers))
	}
	panic(r.vm.ToValue("timeRange: bad number of arguments"))
}

// timeArgs takes "GMT" from the end of the arguments, and gives the time in the
// zone that it means.
func timeArgs(call goja.FunctionCall) ([]goja.Value, time.Time) {
	args := call.Arguments
	if n := len(args); n > 0 && args[n-1].String() == "GMT" {
		return args[:n-1], time.Now().UTC()
	}
	return args, time.Now()
}

func texts(args []goja.Value) []string {
	all := make([]string, len(args))
	for i, a := range args {
		all[i] = a.String()
	}
	return all
}

// inWeekdays is for "MON", or "FRI", "MON" from one day to the other.
func inWeekdays(now time.Time, args []string) bool {
	if len(args) == 0 {
		return false
	}
	days := []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}
	from, today := slices.Index(days, args[0]), int(now.Weekday())
	to := from
	if len(args) == 2 {
		to = slices.Index(days, args[1])
	}
	switch {
	case from < 0 || to < 0:
		return false
	case from <= to:
		return from <= today && today <= to
	}
	return today <= to || from <= today
}

// inDates is for days, months and years, alone or from one to another. A day
// that a month does not have is one of the next month, as in JavaScript.
func inDates(now time.Time, args []string) bool {
	switch len(args) {
	case 0:
		return false
	case 1:
		return isDate(now, args[0])
	}
	year := now.Year()
	from := time.Date(year, time.January, 1, 0, 0, 0, 0, now.Location())
	to := time.Date(year, time.December, 31, 23, 59, 59, 0, now.Location())
	half := len(args) / 2
	days := false
	for _, a := range args[:half] {
		from = withDatePart(from, a)
		n, isNumber := parseInt(a)
		days = days || isNumber && n < 32
	}
	for _, a := range args[half:] {
		to = withDatePart(to, a)
	}
	if days && len(args) == 2 {
		from = withMonth(from, now.Month())
		to = withMonth(to, now.Month())
	}
	return between(now, from, to)
}

func isDate(now time.Time, arg string) bool {
	n, isNumber := parseInt(arg)
	switch {
	case !isNumber:
		return now.Month() == monthOf(arg)
	case n < 32:
		return now.Day() == n
	}
	return now.Year() == n
}

func withDatePart(t time.Time, arg string) time.Time {
	n, isNumber := parseInt(arg)
	switch {
	case !isNumber:
		return withMonth(t, monthOf(arg))
	case n < 32:
		return t.AddDate(0, 0, n-t.Day())
	}
	return t.AddDate(n-t.Year(), 0, 0)
}

func withMonth(t time.Time, m time.Month) time.Time {
	return t.AddDate(0, int(m-t.Month()), 0)
}

// monthOf is the month of a name, 0 for one that is none.
func monthOf(name string) time.Month {
	months := []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
	return time.Month(slices.Index(months, name) + 1)
}

// parseInt reads the number at the beginning of s, as JavaScript's does.
func parseInt(s string) (n int, ok bool) {
	s = strings.TrimSpace(s)
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || end == 0 && (s[0] == '-' || s[0] == '+')) {
		end++
	}
	n, err := strconv.Atoi(s[:end])
	return n, err == nil
}

// inTimes is for an hour, hours, hours with minutes, or those with seconds,
// from one time to the other.
func inTimes(now time.Time, args []int) bool {
	switch len(args) {
	case 0:
		return false
	case 1:
		return now.Hour() == args[0]
	case 2:
		return args[0] <= now.Hour() && now.Hour() <= args[1]
	case 4:
		return between(now, at(now, args[0], args[1], now.Second()), at(now, args[2], args[3], 59))
	}
	return between(now, at(now, args[0], args[1], args[2]), at(now, args[3], args[4], args[5]))
}

// at is a time of the day of now, with its fraction of a second.
func at(now time.Time, hour, minute, second int) time.Time {
	y, m, d := now.Date()
	return time.Date(y, m, d, hour, minute, second, now.Nanosecond(), now.Location())
}

// between takes a range whose end lies before its beginning as one that begins
// in the period before.
func between(now, from, to time.Time) bool {
	if !to.Before(from) {
		return !now.Before(from) && !now.After(to)
	}
	return !now.After(to) || !now.Before(from)
}
