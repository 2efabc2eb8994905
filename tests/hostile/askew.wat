;; Returns a result that is not where a result may be. The host must not read it.
(module
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (i32.const 1021)))
