// Ties the figures of a page to the engine: live.figure draws, a worker computes. And what else moves in a page.

const page = (() => {
  'use strict'

  // Sends a question; returns a promise of its answer. sources: the texts of the scripts that a worker runs. A worker that breaks
  // rejects every question, those that wait and those to come.
  function connect(sources) {
    let worker, broken = null
    try {
      worker = new Worker(URL.createObjectURL(new Blob(sources, { type: 'text/javascript' })))
    } catch {
      return Object.assign(async (question) => answers(question), { worker: false })
    }
    const waiting = []  // answers come in the order of the questions
    worker.onmessage = ({ data }) => {
      const { resolve, reject } = waiting.shift()
      data.error ? reject(new Error(data.error)) : resolve(data)
    }
    worker.onerror = (event) => {
      if (event.message === undefined) ask.worker = false  // it never began, since a policy forbids it: the page computes
      else broken = new Error(event.message)
      for (const { question, resolve, reject } of waiting.splice(0)) broken ? reject(broken) : ask(question).then(resolve, reject)
    }
    const ask = async (question) => {
      if (broken) throw broken
      if (!ask.worker) return answers(question)
      return new Promise((resolve, reject) => {
        waiting.push({ question, resolve, reject })
        worker.postMessage(question)
      })
    }
    return Object.assign(ask, { worker: true })
  }

  // Fills `root` with a live figure. Returns a promise, which is kept when the first picture is shown: whether the engine has SIMD.
  // explorer: {kind, data, wasm, controls, settings}. While the engine computes, of all that was asked meanwhile only the last is kept.
  // failed(error): called if the engine fails at a later picture.
  async function figure(root, id, explorer, ask, failed) {
    const { kind, data, wasm, controls, settings } = explorer
    const { simd } = await ask({ figure: id, kind, data, wasm })
    let busy = false, next = null
    const shown = live.figure(root, { controls, origin: settings, ask: (wanted, generation) => {
      next = { wanted, generation }
      if (!busy) work().catch(failed)
    } })
    async function work() {
      busy = true
      while (next) {
        const { wanted, generation } = next
        next = null
        shown.show((await ask({ figure: id, settings: wanted, generation })).picture)
      }
      busy = false
    }
    next = { wanted: settings, generation: 0 }
    await work()
    return simd
  }

  const SLOW = 'This browser has no WebAssembly with SIMD: the figure computes in plain JavaScript, and takes several times as long.'
  const FAILED = 'This figure could not be computed here, so its stored picture is shown. The browser said: '

  // Starts every live figure of the page. Its stored picture stays until the first live one is drawn, and returns if that fails.
  function start() {
    const sources = [...document.querySelectorAll('script.worker')].map((script) => script.textContent)
    const places = [...document.querySelectorAll('.explorer > script')].map((script) => script.parentNode), ask = places.length && connect(sources)
    places.forEach(async (place, k) => {
      const say = (text) => { place.querySelector('.said').textContent = text }
      const failed = (error) => {
        place.dataset.state = 'failed'
        say(FAILED + error.message)
      }
      try {
        const explorer = JSON.parse(place.querySelector('script').textContent)
        const simd = await figure(place.querySelector('.moving'), k, { ...explorer, wasm }, ask, failed)
        place.dataset.state = 'moving'
        if (!simd) say(SLOW)
      } catch (error) {
        failed(error)
      }
    })
    for (const field of document.querySelectorAll('.predict textarea')) {
      const told = document.querySelectorAll(`[data-guess="${field.id}"]`), key = `${location.pathname} ${field.id}`
      const tell = () => told.forEach((place) => { place.textContent = field.value || '–' })
      try { field.value = sessionStorage.getItem(key) ?? '' } catch {}  // without storage, a guess lasts as long as the page
      tell()
      field.addEventListener('input', () => {
        tell()
        try { sessionStorage.setItem(key, field.value) } catch {}
      })
    }
    // On paper all is open, also where the style cannot open it.
    let closed = []
    addEventListener('beforeprint', () => {
      closed = [...document.querySelectorAll('details:not([open])')]
      for (const one of closed) one.open = true
    })
    addEventListener('afterprint', () => { for (const one of closed.splice(0)) one.open = false })
    // What has to be scrolled can be reached by keyboard, and nothing else of its kind.
    const boxes = document.querySelectorAll('pre, .wide'), look = () => boxes.forEach((box) => {
      box.scrollWidth > box.clientWidth ? (box.tabIndex = 0) : box.removeAttribute('tabindex')
    })
    const sized = new ResizeObserver(look)
    for (const box of boxes) sized.observe(box)
    document.fonts.ready.then(look)
  }

  return { connect, start }
})()
