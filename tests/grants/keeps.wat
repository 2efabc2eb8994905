;; Opens its bucket and does what the first character of its setting "do" says:
;;   s  sets "k" to 100 bytes of "v" and says "set"
;;   m  sets keys of one character, "A" and on, until it may not, and says how many, in two digits
;;   g  says the value of "k", or "none"
;;   e  says "yes" or "no"
;;   d  removes "k" and says "gone"
;;   l  says the first key of the first page, or "none"
;;   b  sets a value of more than a mebibyte, and says the error
;; An error of the store is said as it is.
(module
  (import "wasi:config/store@0.2.0-rc.1" "get" (func $setting (param i32 i32 i32)))
  (import "wasi:keyvalue/store@0.2.0-draft" "open" (func $open (param i32 i32 i32)))
  (import "wasi:keyvalue/store@0.2.0-draft" "[method]bucket.get" (func $get (param i32 i32 i32 i32)))
  (import "wasi:keyvalue/store@0.2.0-draft" "[method]bucket.set"
    (func $set (param i32 i32 i32 i32 i32 i32)))
  (import "wasi:keyvalue/store@0.2.0-draft" "[method]bucket.delete"
    (func $delete (param i32 i32 i32 i32)))
  (import "wasi:keyvalue/store@0.2.0-draft" "[method]bucket.exists"
    (func $exists (param i32 i32 i32 i32)))
  (import "wasi:keyvalue/store@0.2.0-draft" "[method]bucket.list-keys"
    (func $list_keys (param i32 i32 i64 i32)))
  (import "wasi:keyvalue/store@0.2.0-draft" "[resource-drop]bucket" (func $drop (param i32)))
  ;; prelude
  (data (i32.const 512) "do")
  (data (i32.const 516) "k")
  (data (i32.const 520) "set")
  (data (i32.const 524) "none")
  (data (i32.const 528) "yes")
  (data (i32.const 532) "no")
  (data (i32.const 536) "gone")
  (data (i32.const 540) "denied")
  (data (i32.const 548) "00")
  (data (i32.const 600) "A")
  ;; What an error at 2048 says: which case is at the offset, and the text of the last after it.
  (func $failed (param $case i32) (result i32)
    (if (i32.ne (i32.load8_u (local.get $case)) (i32.const 2))
      (then (return (call $say (i32.const 540) (i32.const 6)))))
    (call $say (i32.load offset=4 (local.get $case)) (i32.load offset=8 (local.get $case))))
  (func $answer (param $list i32) (param $count i32) (result i32)
    (local $do i32) (local $bucket i32) (local $number i32)
    (call $setting (i32.const 512) (i32.const 2) (i32.const 2048))
    (local.set $do (i32.load8_u (i32.load (i32.const 2056))))
    (call $open (i32.const 512) (i32.const 0) (i32.const 2048))
    (if (i32.load8_u (i32.const 2048)) (then (return (call $failed (i32.const 2052)))))
    (local.set $bucket (i32.load (i32.const 2052)))
    (if (i32.eq (local.get $do) (i32.const 115)) ;; s
      (then
        (memory.fill (i32.const 3072) (i32.const 118) (i32.const 100))
        (call $set (local.get $bucket) (i32.const 516) (i32.const 1) (i32.const 3072) (i32.const 100)
          (i32.const 2048))
        (if (i32.load8_u (i32.const 2048)) (then (return (call $failed (i32.const 2052)))))
        (return (call $say (i32.const 520) (i32.const 3)))))
    (if (i32.eq (local.get $do) (i32.const 109)) ;; m
      (then
        (loop $more
          (i32.store8 (i32.const 600) (i32.add (i32.const 65) (local.get $number)))
          (call $set (local.get $bucket) (i32.const 600) (i32.const 1) (i32.const 3072) (i32.const 1)
            (i32.const 2048))
          (if (i32.eqz (i32.load8_u (i32.const 2048)))
            (then
              (local.set $number (i32.add (local.get $number) (i32.const 1)))
              (br_if $more (i32.lt_u (local.get $number) (i32.const 60))))))
        (i32.store8 (i32.const 548)
          (i32.add (i32.const 48) (i32.div_u (local.get $number) (i32.const 10))))
        (i32.store8 (i32.const 549)
          (i32.add (i32.const 48) (i32.rem_u (local.get $number) (i32.const 10))))
        (return (call $say (i32.const 548) (i32.const 2)))))
    (if (i32.eq (local.get $do) (i32.const 103)) ;; g
      (then
        (call $get (local.get $bucket) (i32.const 516) (i32.const 1) (i32.const 2048))
        (if (i32.load8_u (i32.const 2048)) (then (return (call $failed (i32.const 2052)))))
        (if (i32.eqz (i32.load8_u (i32.const 2052)))
          (then (return (call $say (i32.const 524) (i32.const 4)))))
        (return (call $say (i32.load (i32.const 2056)) (i32.load (i32.const 2060))))))
    (if (i32.eq (local.get $do) (i32.const 101)) ;; e
      (then
        (call $exists (local.get $bucket) (i32.const 516) (i32.const 1) (i32.const 2048))
        (if (i32.load8_u (i32.const 2048)) (then (return (call $failed (i32.const 2052)))))
        (if (i32.load8_u (i32.const 2052))
          (then (return (call $say (i32.const 528) (i32.const 3)))))
        (return (call $say (i32.const 532) (i32.const 2)))))
    (if (i32.eq (local.get $do) (i32.const 100)) ;; d
      (then
        (call $delete (local.get $bucket) (i32.const 516) (i32.const 1) (i32.const 2048))
        (if (i32.load8_u (i32.const 2048)) (then (return (call $failed (i32.const 2052)))))
        (call $drop (local.get $bucket))
        (return (call $say (i32.const 536) (i32.const 4)))))
    (if (i32.eq (local.get $do) (i32.const 98)) ;; b
      (then
        (drop (memory.grow (i32.const 20)))
        (call $set (local.get $bucket) (i32.const 516) (i32.const 1) (i32.const 65536)
          (i32.const 1048577) (i32.const 2048))
        (return (call $failed (i32.const 2052)))))
    ;; The result of a page is aligned to eight: its list is at 8.
    (call $list_keys (local.get $bucket) (i32.const 0) (i64.const 0) (i32.const 2048))
    (if (i32.load8_u (i32.const 2048)) (then (return (call $failed (i32.const 2056)))))
    (if (i32.eqz (i32.load (i32.const 2060)))
      (then (return (call $say (i32.const 524) (i32.const 4)))))
    (call $say (i32.load (i32.load (i32.const 2056)))
      (i32.load offset=4 (i32.load (i32.const 2056))))))
