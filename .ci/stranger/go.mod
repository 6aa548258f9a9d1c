module example.com/stranger

go 1.26.0

require github.com/walink/walink v0.1.0

replace github.com/walink/walink => ../..
