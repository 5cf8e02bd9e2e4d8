package clock

// The CMOS clock (MC146818): register r is read by writing r to port 0x70 and
// reading port 0x71.
//
//	0 2 4    seconds, minutes, hours
//	7 8 9    day of the month, month, year of the century
//	10       bit 7: an update begins within 244 µs, or is under way
//	11       bit 2: numbers are binary, else BCD; bit 1: 24 hours, else 12
//	         with bit 7 of the hours for p.m.
//
// The century's register differs; the FADT tells it.
const (
	portCMOSIndex = 0x70
	portCMOSData  = 0x71

	rtcStatusA  = 10
	rtcStatusB  = 11
	rtcUpdating = 0x80
	rtcBinary   = 4
	rtc24Hours  = 2
	rtcPM       = 0x80
)

// What is read, by its place in a reading.
const (
	rtcSec = iota
	rtcMin
	rtcHour
	rtcDay
	rtcMonth
	rtcYear
	rtcFields
)

// Their registers, and their least and greatest values.
const (
	rtcRegisters = "\x00\x02\x04\x07\x08\x09"
	rtcLeast     = "\x00\x00\x00\x01\x01\x00"
	rtcGreatest  = "\x3b\x3b\x17\x1f\x0c\x63"
)

// rtcReading is the registers as they stand.
type rtcReading struct {
	field   [rtcFields]uint8
	century uint8
	status  uint8 // B
}

// ReadRTC returns the time of the CMOS clock, taken as UTC, in seconds since
// 1970. It has whole seconds only: on average it is half a second late.
// century is the number of the century's register, 0 if there is none. It
// returns false if there is no clock or it shows no valid time. It takes some
// microseconds (the first time 0.2 ms under emulation, as all new code is
// slow there), or 2 ms at worst when it meets an update.
func ReadRTC(in8 func(port uint16) uint8, out8 func(port uint16, v uint8), century uint8) (unix int64, ok bool) {
	var r rtcReading
	// An update takes 2 ms, an access no less than 50 ns.
	for range 30000 {
		if readCMOS(in8, out8, rtcStatusA)&rtcUpdating != 0 {
			continue
		}
		for i := range r.field {
			r.field[i] = readCMOS(in8, out8, rtcRegisters[i])
		}
		r.status = readCMOS(in8, out8, rtcStatusB)
		if century != 0 {
			r.century = readCMOS(in8, out8, century&0x7f)
		}
		// An update in the meantime has changed the seconds, or is under way.
		if readCMOS(in8, out8, rtcStatusA)&rtcUpdating == 0 && readCMOS(in8, out8, 0) == r.field[rtcSec] {
			return r.unix()
		}
	}
	return 0, false
}

func readCMOS(in8 func(uint16) uint8, out8 func(uint16, uint8), r uint8) uint8 {
	out8(portCMOSIndex, r)
	return in8(portCMOSData)
}

// unix decodes a reading.
func (r *rtcReading) unix() (int64, bool) {
	pm := r.field[rtcHour]&rtcPM != 0
	r.field[rtcHour] &^= rtcPM
	if r.status&rtcBinary == 0 {
		for i := range r.field {
			if !bcd(&r.field[i]) {
				return 0, false
			}
		}
		if !bcd(&r.century) {
			r.century = 0
		}
	}
	if r.status&rtc24Hours == 0 {
		if r.field[rtcHour] < 1 || r.field[rtcHour] > 12 {
			return 0, false
		}
		r.field[rtcHour] %= 12
		if pm {
			r.field[rtcHour] += 12
		}
	} else if pm {
		return 0, false
	}
	for i, v := range r.field {
		if v < rtcLeast[i] || v > rtcGreatest[i] {
			return 0, false
		}
	}
	yy, month, day := r.field[rtcYear], r.field[rtcMonth], r.field[rtcDay]
	year := int64(r.century)*100 + int64(yy)
	if r.century < 19 || r.century > 29 { // nonsense, or none: 1970 to 2069
		year = 2000 + int64(yy)
		if yy >= 70 {
			year -= 100
		}
	}
	if day > daysIn(year, month) {
		return 0, false
	}
	days := DaysFromCivil(year, int64(month), int64(day))
	return days*86400 + int64(r.field[rtcHour])*3600 + int64(r.field[rtcMin])*60 + int64(r.field[rtcSec]), true
}

// bcd decodes two decimal digits in place.
func bcd(v *uint8) bool {
	high, low := *v>>4, *v&15
	*v = high*10 + low
	return high < 10 && low < 10
}

func daysIn(year int64, month uint8) uint8 {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// DaysFromCivil returns the days from 1970-01-01 to a date of the Gregorian
// calendar, for years from 0 on. Years are counted from March, so that the
// leap day is the last, in eras of 400 years, which all have 146097 days.
func DaysFromCivil(year, month, day int64) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	era := year / 400
	yearOfEra := year % 400
	dayOfYear := (153*(month-3)+2)/5 + day - 1
	dayOfEra := yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear
	return era*146097 + dayOfEra - 719468
}
