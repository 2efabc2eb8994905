;; Traps when it is asked for memory for the name of an app of four letters. The host must contain it.
(module
  ;; allocating: (if (i32.eq (local.get 3) (i32.const 4)) (then (unreachable)))
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (call $hand_back (local.get $list) (local.get $count))))
