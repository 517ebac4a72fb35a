-- GET /reviews of the ten products with the most reviews.
math.randomseed(os.time())
request = function()
  return wrk.format("GET", "/reviews?product_id=" .. math.random(1, 10) * 1000)
end
